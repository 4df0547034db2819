"""The training loop of every script: batches in, weights, log rows and final tests out.

A step takes `accumulate_grad_batches` batches, adds up the gradients of their summed losses, divides once by the number of
targets in all of them (over all processes too), clips, and updates. So accumulation and several processes give the gradient of
the one large batch, exactly. All that changes is in `TrainState`; everything else follows from (seed, epoch, step), which makes
a resumed run equal an unbroken one.
"""

import contextlib
import itertools
import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn.utils import clip_grads_with_norm_, get_total_norm

from src.engine import distributed
from src.engine.batches import Batch, Batches, samples_in, to_device
from src.engine.checkpoint import load_weights
from src.engine.compile import compiled
from src.engine.evaluate import Evaluator, Objective
from src.engine.limits import limited
from src.engine.nan_guard import first_bad_tensor
from src.engine.precision import Precision, autocast, loss_scaler
from src.engine.progress import ProgressLine
from src.engine.rng import undisturbed
from src.engine.state import TrainState
from src.engine.stop import Stopped
from src.engine.store import MemoryStore, Store
from src.engine.tally import Measures, Ratio
from src.errors import UserError, did_you_mean

_AGREE_EVERY = 10  # steps between the questions "does any process want to stop or to save?"


@dataclass(frozen=True)
class Plan:
    """How long and how to train; the names are the configs'.

    Attributes:
        max_epochs, max_steps: training ends with the first that is reached; None is no limit.
        gradient_clip_val: largest norm of the gradient; None does not clip.
        limit_train_batches: share (float) or number (int) of an epoch's batches.
        monitor, mode: the metric of an epoch's row that decides which weights are best.
        compile: try torch.compile.
        log_every: steps between rows of the log.
        save_seconds: states are saved at least so often, between steps.
        save_steps: and after every so many steps.
        check_every: steps between looks at whether the loss is finite; None is 1 on a CPU and `log_every` on a GPU, where
            every look waits for the device.
    """

    max_epochs: int | None = 200
    max_steps: int | None = None
    accumulate_grad_batches: int = 1
    gradient_clip_val: float | None = None
    limit_train_batches: float | int = 1.0
    precision: Precision = "fp32"
    monitor: str = "val/accuracy"
    mode: Literal["min", "max"] = "max"
    compile: bool = False
    log_every: int = 50
    save_seconds: float = 60.0
    save_steps: int | None = None
    check_every: int | None = None

    def __post_init__(self) -> None:
        if self.max_epochs is None and self.max_steps is None:
            raise UserError("training needs an end: set max_epochs or max_steps")
        for name in ("max_epochs", "max_steps", "accumulate_grad_batches", "log_every", "save_steps", "check_every"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UserError(f"{name} must be at least 1, got {value}")
        if self.gradient_clip_val is not None and not self.gradient_clip_val > 0:
            raise UserError(f"gradient_clip_val must be positive or null, got {self.gradient_clip_val}")


@dataclass(frozen=True)
class FitResult:
    """What training ended with: the last epoch's row, the best epoch, and the final tests ("test@last/accuracy", ...)."""

    steps: int
    epochs: int
    last: dict[str, float]
    best: float | None
    best_epoch: int | None
    final: dict[str, float]


def _nothing(*_: Any, **__: Any) -> None:
    pass


def fit(
    state: TrainState,
    train: Batches,
    objective: Objective,
    plan: Plan,
    device: torch.device,
    *,
    evaluators: Mapping[str, Evaluator] | None = None,
    final: Mapping[str, Evaluator] | None = None,
    enough: Callable[[dict[str, float]], bool] = lambda row: False,
    log: Callable[..., None] = _nothing,
    store: Store | None = None,
    stop: Callable[[], bool] = lambda: False,
    advance: Callable[[int], None] = _nothing,
    resumed: Callable[[int], None] = _nothing,
    progress: bool = True,
    say: Callable[[str], None] = print,
) -> FitResult:
    """Trains `state` (its model is on `device`) to the end of `plan`, continuing from what `store` holds.

    Args:
        evaluators: run after every epoch; their metrics are logged as "<name>/<metric>".
        final: run once at the end, on the last weights and on the best.
        enough: called with each epoch's row; True ends training.
        log: log(step, **values), called in the main process only, with rows of steps ("loss", "lr", ...) and of epochs
            ("epoch", "train/loss", ...).
        store: where states are kept; None keeps the best weights in memory and cannot resume.
        stop: asked between steps; True saves the state and raises Stopped.
        advance: told the number of steps just done.
        resumed: told the step of the state that was found.
        progress: draw a progress line where stderr is a terminal.
        say: takes lines for the user.

    Raises:
        Stopped: asked to stop; the state is saved.
        FloatingPointError: the loss is not finite; names the tensor. The saved states are from before.
        UserError: the saved state is another model's, or `plan.monitor` names no evaluator.
    """
    loop = _Loop(state, train, objective, plan, device)
    loop.evaluators, loop.final_evaluators, loop.enough = dict(evaluators or {}), dict(final or {}), enough
    loop.store, loop.stop, loop.resumed = store or MemoryStore(), stop, resumed
    if distributed.is_main():
        loop.log, loop.advance, loop.say, loop.draw = log, advance, say, progress
    return loop.run()


class _Loop:
    """One call of `fit`: `run` is the outline, the methods below it are in the order in which they are called."""

    evaluators: dict[str, Evaluator]
    final_evaluators: dict[str, Evaluator]
    enough: Callable[[dict[str, float]], bool]
    store: Store
    stop: Callable[[], bool]
    resumed: Callable[[int], None]
    log: Callable[..., None] = staticmethod(_nothing)
    advance: Callable[[int], None] = staticmethod(_nothing)
    say: Callable[[str], None] = staticmethod(_nothing)
    draw: bool = False

    def __init__(self, state: TrainState, train: Batches, objective: Objective, plan: Plan, device: torch.device):
        self.state, self.train, self.objective, self.plan, self.device = state, train, objective, plan, device
        self.n_batches = limited(len(train), plan.limit_train_batches)
        if self.n_batches == 0:
            raise UserError("the training set has no full batch; use a smaller batch_size or drop_last=false")
        self.check_every = plan.check_every or (plan.log_every if device.type == "cuda" else 1)
        self.first_bad = torch.full((), -1, device=device)  # the first step whose loss or gradient was not finite
        self.last_save = time.monotonic()
        if state.scaler is None:
            state.scaler = loss_scaler(device, plan.precision)

    def run(self) -> FitResult:
        self._check_monitor()
        self._resume()
        state = self.state
        self.progress = ProgressLine(self._total_steps(), state.step, self.draw)
        try:
            if not state.finished:
                self.runner = self._runner()
            while not state.finished:
                self._epoch()
                self._end_epoch()
        finally:
            self.progress.close()
        return FitResult(state.step, state.epoch, state.row, state.best, state.best_epoch, self._final())

    def _check_monitor(self) -> None:
        name = self.plan.monitor.partition("/")[0]
        if self.evaluators and name not in (*self.evaluators, "train"):
            known = ", ".join(f"{known}/..." for known in (*self.evaluators, "train"))
            raise UserError(f"monitor '{self.plan.monitor}' is measured by nothing; expected one of: {known}")

    def _resume(self) -> None:
        saved = distributed.broadcast(self.store.load() if distributed.is_main() else None)
        if saved is not None:
            self.state.load_state_dict(saved)
            self.resumed(self.state.step)
            self.say(f"continuing after step {self.state.step} (epoch {self.state.epoch + 1})")

    def _total_steps(self) -> int:
        steps_per_epoch = -(-self.n_batches // self.plan.accumulate_grad_batches)
        total = min(
            steps_per_epoch * self.plan.max_epochs if self.plan.max_epochs else float("inf"),
            self.plan.max_steps or float("inf"),
        )
        schedule, per = self.state.schedule, {"step": 1, "epoch": steps_per_epoch}[self.state.schedule.interval]
        if schedule.end() is not None and schedule.end() * per < total:
            self.say(
                f"warning: the learning rate is 0 from {schedule.interval} {schedule.end()} on; training has {total:,} steps"
            )
        return int(total)

    def _runner(self) -> torch.nn.Module:
        """What is called in a step: the model, compiled or distributed where asked."""
        model = self.state.model
        if self.plan.compile:
            with undisturbed():
                batch = to_device(next(iter(self.train.iterate(0))), self.device)
            model = compiled(model, self._autocast_objective, batch, self.say)
        return distributed.data_parallel(model, self.device)

    def _epoch(self) -> None:
        state, plan = self.state, self.plan
        state.model.train()
        batches = self.train.iterate(state.epoch, state.batch)
        batches = itertools.islice(batches, self.n_batches - state.batch)
        for group in _groups(batches, plan.accumulate_grad_batches):
            self.batches = [to_device(batch, self.device) for batch in group]
            lr = self._step(self.batches)
            self.progress.step(sum(map(samples_in, group)) * distributed.world_size())
            self.advance(1)
            if state.step % self.check_every == 0:
                self._check_finite()
            if state.step % plan.log_every == 0:
                self._log_steps(lr)
            if state.step == plan.max_steps:
                break
            self._save_or_stop()

    def _step(self, batches: list[Batch]) -> float:
        """One update; returns its learning rate."""
        state = self.state
        lr = state.set_rates()
        sums = torch.zeros(2, dtype=torch.float64, device=self.device)  # loss and number of targets, over all batches
        for i, batch in enumerate(batches):
            with self._exchange_gradients(i == len(batches) - 1):
                measures = self._autocast_objective(self.runner, batch)
                loss = measures["loss"]
                state.scaler.scale(loss.total).backward()
            sums += torch.stack(
                [loss.total.detach().double(), torch.as_tensor(loss.count, device=self.device).double()]
            )
            self._tally(measures)
        self._update(*distributed.sum_(sums))
        state.step += 1
        state.batch += len(batches)
        return lr

    def _autocast_objective(self, model: torch.nn.Module, batch: Batch) -> Measures:
        with autocast(self.device, self.plan.precision):
            return self.objective(model, batch)

    def _exchange_gradients(self, now: bool) -> contextlib.AbstractContextManager:
        """Processes exchange their gradients with the last batch of a step only."""
        return contextlib.nullcontext() if now or not hasattr(self.runner, "no_sync") else self.runner.no_sync()

    def _tally(self, measures: Measures) -> None:
        self.state.window.add(measures)
        self.state.epoch_tally.add(measures)

    def _update(self, loss: Tensor, n_targets: Tensor) -> None:
        state, plan = self.state, self.plan
        state.scaler.unscale_(state.optimizer)
        parameters = [p for group in state.optimizer.param_groups for p in group["params"] if p.grad is not None]
        gradients = [p.grad for p in parameters]
        # processes have averaged their gradients of sums; a step without a target has gradient 0
        torch._foreach_mul_(gradients, (distributed.world_size() / n_targets.clamp_min(1)).to(gradients[0].dtype))
        norm = get_total_norm(gradients)
        is_finite = torch.isfinite(loss)
        if not state.scaler.is_enabled():  # the scaler expects overflow, and then skips the update
            is_finite = is_finite & torch.isfinite(norm)
            state.window.add({"grad_norm": Ratio(norm, 1)})
        self.first_bad = torch.where((self.first_bad < 0) & ~is_finite, state.step + 1, self.first_bad)
        if self.check_every == 1 and self.first_bad >= 0:
            return  # leave the weights as they were: they show which tensor was the first
        if plan.gradient_clip_val is not None:
            clip_grads_with_norm_(parameters, plan.gradient_clip_val, norm)
        state.scaler.step(state.optimizer)
        state.scaler.update()
        state.optimizer.zero_grad(set_to_none=True)
        if state.ema:
            state.ema.update()

    def _check_finite(self) -> None:
        """Raises FloatingPointError naming the first bad tensor, where a step since the last check was not finite."""
        step = int(self.first_bad)
        if step < 0:
            return
        found = distributed.gather(first_bad_tensor(self.state.model, self._autocast_objective, self.batches))
        name = next((name for name in found if name), "unknown: all were finite when the same batches ran again")
        hint = "" if self.check_every == 1 else "; resume with check_every=1 to see where it began"
        raise FloatingPointError(f"step {step}: the first tensor that is not finite is {name}{hint}")

    def _log_steps(self, lr: float) -> None:
        means = self.state.window.means()
        self.state.window.clear()
        rate = self.progress.samples_per_second()
        self.log(self.state.step, **means, lr=lr, samples_per_second=rate)
        self.progress.show(self.state.epoch + 1, means, rate)

    def _save_or_stop(self, ask: bool = False) -> None:
        state, plan = self.state, self.plan
        save = plan.save_steps is not None and state.step % plan.save_steps == 0
        stop = False
        if ask or distributed.world_size() == 1 or state.step % _AGREE_EVERY == 0:
            late = time.monotonic() - self.last_save >= plan.save_seconds
            wishes = distributed.gather((self.stop(), late))
            stop, save = any(wish[0] for wish in wishes), save or wishes[0][1]
        if stop or save:
            self._save()
        if stop:
            raise Stopped(f"stopped after step {state.step}; the state is saved")

    def _save(self) -> None:
        self._check_finite()
        saved = self.state.state_dict()
        if distributed.is_main():
            self.store.save(saved)
        self.last_save = time.monotonic()

    def _end_epoch(self) -> None:
        """Evaluates, logs the epoch's row, keeps the best weights, and decides whether training goes on."""
        state, plan = self.state, self.plan
        self._check_finite()
        row = {f"train/{name}": value for name, value in state.epoch_tally.means().items()}
        row |= self._evaluate(self.evaluators)
        state.epoch, state.batch = state.epoch + 1, 0
        state.epoch_tally.clear()
        self._judge(row)
        self.log(state.step, epoch=state.epoch, **row)
        state.row = row
        out_of_steps = plan.max_steps is not None and state.step >= plan.max_steps
        state.finished = state.epoch == plan.max_epochs or out_of_steps or bool(distributed.broadcast(self.enough(row)))
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
        state, plan = self.state, self.plan
        if not self.evaluators:
            return
        if plan.monitor not in row:
            raise UserError(f"monitor: unknown metric '{plan.monitor}'{did_you_mean(plan.monitor, row)}")
        value = row[plan.monitor]
        state.schedule.observe(value)
        if math.isnan(value) or (state.best is not None and not _is_better(value, state.best, plan.mode)):
            return
        state.best, state.best_epoch = value, state.epoch
        if distributed.is_main():
            self.store.save_best({"model": state.weights(), "step": state.step, "epoch": state.epoch, "value": value})

    def _final(self) -> dict[str, float]:
        """The final tests, on the last weights and on the best; the model keeps the last."""
        if not self.final_evaluators:
            return {}
        results = self._evaluate(self.final_evaluators, "@last")
        best = distributed.broadcast(self.store.load_best() if distributed.is_main() else None)
        if best is not None:
            last = self.state.weights()
            load_weights(self.state.model, best["model"])
            ema, self.state.ema = self.state.ema, None  # the best weights are averages already
            results |= self._evaluate(self.final_evaluators, "@best-val")
            self.state.ema = ema
            load_weights(self.state.model, last)
        return results


def _groups(batches: Iterator[Batch], size: int) -> Iterator[list[Batch]]:
    while group := list(itertools.islice(batches, size)):
        yield group


def _is_better(value: float, best: float, mode: str) -> bool:
    return value > best if mode == "max" else value < best
