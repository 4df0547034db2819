"""The training loop of every script: batches in; weights, log rows and final tests out.

All that changes is in `TrainState`; everything else follows from (seed, epoch, step), which makes a resumed run equal an unbroken
one, bit for bit on a CPU. `step.py` is one update, `evaluate.py` one evaluation; here is when they happen.
"""

import contextlib
import itertools
import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import torch

from ..errors import UserError, did_you_mean
from ..stop import Interrupted
from . import distributed
from .batches import Batch, Batches, samples_in, to_device
from .compile import compiled
from .device import loss_scaler
from .evaluate import Evaluator, Objective
from .graphs import check_capturable
from .plan import Best, FitResult, Plan, limited
from .ports import Ports
from .progress import TrainingProgress
from .state import TrainState, undisturbed
from .step import Step, at_precision
from .weights import load_weights

BY_ACCURACY = Best()
_AGREE_EVERY = 10  # steps between the questions "does any process want to stop or to save?"


def fit(
    state: TrainState,
    train: Batches,
    objective: Objective,
    plan: Plan,
    device: torch.device,
    *,
    evaluators: Mapping[str, Evaluator] | None = None,
    final: Mapping[str, Evaluator] | None = None,
    best: Best = BY_ACCURACY,
    enough: Callable[[dict[str, float]], bool] = lambda row: False,
    ports: Ports | None = None,
) -> FitResult:
    """Trains `state` (its model is on `device`) to the end of `plan`, continuing from what the ports' store holds.

    Args:
        evaluators: run after every epoch; their metrics are logged as "<name>/<metric>".
        final: run once at the end, on the last weights and on the best.
        best: which weights are kept beside the last.
        enough: called with each epoch's row; True ends training.
        ports: what ties training to its surroundings; None is `Ports()`, which cannot resume.

    Raises:
        Interrupted: asked to stop; the state is saved.
        FloatingPointError: the loss is not finite; names the tensor. The saved states are from before.
        UserError: the saved state is another model's, `best.monitor` names no evaluator, or the step cannot be a CUDA graph.
    """
    measured = Measured(dict(evaluators or {}), dict(final or {}), best, enough)
    ports = ports or Ports()
    if not distributed.is_main():
        ports = ports.silenced()
    return _Loop(state, train, objective, plan, device, measured, ports).run()


@dataclass(frozen=True)
class Measured:
    """What is measured after every epoch and at the end, which of it says what is best, and when it is good enough to end training."""

    evaluators: Mapping[str, Evaluator]
    final: Mapping[str, Evaluator]
    best: Best
    enough: Callable[[dict[str, float]], bool]


class _Loop:
    """One call of `fit`: `run` is the outline, the methods below it are in the order in which they are called."""

    def __init__(
        self,
        state: TrainState,
        train: Batches,
        objective: Objective,
        plan: Plan,
        device: torch.device,
        measured: Measured,
        ports: Ports,
    ) -> None:
        self.state, self.plan, self.device = state, plan, device
        self.train, self.objective = train, objective
        self.measured, self.ports = measured, ports
        self.n_batches = limited(len(train), plan.limit_train_batches)
        if self.n_batches == 0:
            raise UserError("the training set has no full batch; use a smaller batch_size or drop_last=false")
        if plan.cuda_graph:
            check_capturable(device, plan.precision)
        self.last_save = time.monotonic()
        if state.scaler is None:
            state.scaler = loss_scaler(device, plan.precision)

    def run(self) -> FitResult:
        self._check_monitor()
        self._resume()
        state = self.state
        self.progress = TrainingProgress(self._total_steps(), state.step, self.ports.progress)
        try:
            if not state.finished:
                self.step = Step(state, self._runner(), self.objective, self.plan, self.device)
            while not state.finished:
                self._epoch()
                self._end_epoch()
        finally:
            self.progress.close()
        return FitResult(state.step, state.epoch, state.row, state.best, state.best_epoch, self._final())

    def _check_monitor(self) -> None:
        monitor = self.measured.best.monitor
        name = monitor.partition("/")[0]
        if self.measured.evaluators and name not in (*self.measured.evaluators, "train"):
            known = ", ".join(f"{known}/..." for known in (*self.measured.evaluators, "train"))
            raise UserError(f"monitor '{monitor}' is measured by nothing; expected one of: {known}")

    def _resume(self) -> None:
        has_state = self.ports.resume and distributed.is_main()
        saved = distributed.broadcast(self.ports.store.load_state() if has_state else None)
        if saved is not None:
            self.state.load_state_dict(saved)
            self.ports.resumed(self.state.step)
            self.ports.say(f"continuing after step {self.state.step} (epoch {self.state.epoch + 1})")

    def _total_steps(self) -> int:
        plan, schedule = self.plan, self.state.schedule
        steps_per_epoch = -(-self.n_batches // plan.accumulate_grad_batches)
        limits = (plan.max_steps, steps_per_epoch * plan.max_epochs if plan.max_epochs else None)
        total = min(limit for limit in limits if limit is not None)
        if schedule.end() is not None and schedule.end() < total:
            self.ports.say(
                f"warning: the learning rate is 0 from step {schedule.end():,} on; training has {total:,} steps"
            )
        return total

    def _runner(self) -> torch.nn.Module:
        """What is called in a step: the model, compiled or distributed where asked."""
        model = self.state.model
        if self.plan.compile:
            with undisturbed():
                batch = to_device(next(iter(self.train.iterate(0))), self.device)
            model = compiled(model, at_precision(self.objective, self.plan, self.device), batch, self.ports.say)
        return distributed.data_parallel(model, self.device)

    def _epoch(self) -> None:
        state, plan = self.state, self.plan
        state.model.train()
        batches = self.train.iterate(state.epoch, state.batch)
        batches = itertools.islice(batches, self.n_batches - state.batch)
        for group in _groups(batches, plan.accumulate_grad_batches):
            lr = self.step(group)
            self.progress.step(sum(map(samples_in, group)) * distributed.world_size())
            self.ports.advance(1)
            if state.step % plan.log_every == 0:
                self._log_steps(lr)
            if state.step == plan.max_steps:
                break
            self._save_or_stop()

    def _log_steps(self, lr: float) -> None:
        means = self.state.window.means()
        self.state.window.clear()
        rate = self.progress.samples_per_second()
        self.ports.log(self.state.step, **means, lr=lr, samples_per_second=rate)
        self.progress.show(self.state.epoch + 1, means, rate)

    def _save_or_stop(self, ask: bool = False) -> None:
        state, plan = self.state, self.plan
        save = plan.save_steps is not None and state.step % plan.save_steps == 0
        stop = False
        if ask or distributed.world_size() == 1 or state.step % _AGREE_EVERY == 0:
            late = time.monotonic() - self.last_save >= plan.save_seconds
            wishes = distributed.gather((self.ports.stop(), late))
            stop, save = any(wish[0] for wish in wishes), save or wishes[0][1]
        # the last step of an epoch is saved with the epoch's row, which a run resumed from here would log again
        if stop or (save and state.batch < self.n_batches):
            self._save()
        if stop:
            raise Interrupted(f"stopped after step {state.step}; the state is saved")

    def _save(self) -> None:
        self.step.check_finite()
        saved = self.state.state_dict()
        if distributed.is_main():
            self.ports.store.save_state(saved)
        self.last_save = time.monotonic()

    def _end_epoch(self) -> None:
        """Evaluates, logs the epoch's row, keeps the best weights, and decides whether training goes on."""
        state, plan = self.state, self.plan
        self.step.check_finite()
        row = {f"train/{name}": value for name, value in state.epoch_tally.means().items()}
        row |= self._evaluate(self.measured.evaluators)
        state.epoch, state.batch = state.epoch + 1, 0
        state.epoch_tally.clear()
        self._judge(row)
        self.ports.log(state.step, epoch=state.epoch, **row)
        state.row = row
        out_of_steps = plan.max_steps is not None and state.step >= plan.max_steps
        state.finished = (
            state.epoch == plan.max_epochs or out_of_steps or bool(distributed.broadcast(self.measured.enough(row)))
        )
        if state.finished:
            self._save()
        else:
            self._save_or_stop(ask=True)

    def _evaluate(self, evaluators: Mapping[str, Evaluator], label: str = "") -> dict[str, float]:
        """The metrics of all evaluators on the averaged weights; what they draw does not change what training draws."""
        self.progress.pause()
        metrics = {}
        averaged = self.state.ema.applied() if self.state.ema else contextlib.nullcontext()
        with averaged, undisturbed():
            for name, evaluator in evaluators.items():
                for metric, value in evaluator(self.state.model).items():
                    metrics[f"{name}{label}/{metric}"] = value
        self.progress.resume()
        return metrics

    def _judge(self, row: dict[str, float]) -> None:
        """Tells the schedule the monitored metric and keeps the weights where it is the best so far."""
        state, best = self.state, self.measured.best
        if not self.measured.evaluators:
            return
        if best.monitor not in row:
            raise UserError(f"monitor: unknown metric '{best.monitor}'{did_you_mean(best.monitor, row)}")
        value = row[best.monitor]
        state.schedule.observe(value)
        if math.isnan(value) or (state.best is not None and not best.is_better(value, state.best)):
            return
        state.best, state.best_epoch = value, state.epoch
        if distributed.is_main():
            self.ports.store.save_best(
                {"model": state.weights(), "step": state.step, "epoch": state.epoch, "value": value}
            )

    def _final(self) -> dict[str, float]:
        """The final tests, on the last weights and on the best; the model keeps the last."""
        if not self.measured.final:
            return {}
        results = self._evaluate(self.measured.final, "@last")
        best = distributed.broadcast(self.ports.store.load_best() if distributed.is_main() else None)
        if best is not None:
            last = {name: tensor.clone() for name, tensor in self.state.model.state_dict().items()}
            load_weights(self.state.model, best["model"])
            ema, self.state.ema = self.state.ema, None  # the best weights are averages already
            results |= self._evaluate(self.measured.final, "@best-val")
            self.state.ema = ema
            load_weights(self.state.model, last)
        return results


def _groups(batches: Iterator[Batch], size: int) -> Iterator[list[Batch]]:
    while group := list(itertools.islice(batches, size)):
        yield group
