"""One training run, in the process that the user sees or in a sweep's worker: from its config to its result and its curves."""

import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
from torch import nn

from ...dataloaders import Splits
from ...engine import Evaluation, FitResult, Ports, describe_device, distributed, fit, group_table, run_ports
from ...engine.batches import Batches
from ...engine.device import slowness
from ...engine.graphs import check_capturable
from ...engine.state import seed_all
from ...ops.backend import chosen, start_record
from ...report.train import draw_curves
from ...sweep import Control, RunFolder
from ...tracking.files import atomic_write
from .config import TrainConfig, parse
from .data import PlacedSplits, cut, load_splits, place
from .goal import ClassShares, Goal, goal_of
from .kept import Kept
from .layers import Layer
from .model import DataShape, build_model, groups_of, start
from .perturbed import Perturbed

ABOUT = "about.txt"  # what a run prints before it trains: data, parameter groups, class shares
CHANCE_EPOCHS = 3  # after so many a loss that is still that of guessing is worth a warning
LEARNED = 0.995  # of the loss of guessing
_FIGURES = ("size", "size_frobenius", "cond", "max_real")  # of a perturbation
Say = Callable[[str], None]
Around = Callable[[nn.Module], AbstractContextManager]


def undisturbed_model(model: nn.Module) -> AbstractContextManager:
    """The context of an evaluation that does nothing to the model."""
    return nullcontext()


@dataclass(frozen=True)
class Prepared:
    """A config with its data and model, ready to train."""

    config: TrainConfig
    data: PlacedSplits
    model: nn.Module

    @property
    def splits(self) -> Splits:
        return self.data.splits

    @property
    def device(self) -> torch.device:
        return self.data.device

    def batches(self, split: str, seed: int | None = None, drop_last: bool = True) -> Batches:
        """Returns the batches of a split."""
        return self.data.batches(getattr(self.splits, split), self.config.loader.batch_size, seed, drop_last)

    def evaluation(
        self,
        split: str,
        kept: Kept | None = None,
        around: Around = undisturbed_model,
        size: int | None = None,
    ) -> Evaluation:
        """Returns the evaluation of a split, or of so many examples of it.

        Args:
            kept: keeps which examples were right.
            around: makes of the model the context in which it is evaluated.
        """
        trainer = self.config.trainer
        limit = trainer.limit_val_batches if split == "val" else trainer.limit_test_batches
        batches = self.data.batches(cut(getattr(self.splits, split), size), self.config.loader.batch_size)
        around = around if kept is None else kept.around
        return Evaluation(batches, kept or self.goal.objective, self.device, trainer.precision, around, limit)

    @cached_property
    def goal(self) -> Goal:
        return goal_of(self.splits, self.config.task)

    @cached_property
    def n_parameters(self) -> int:
        return sum(p.numel() for p in self.model.parameters() if p.requires_grad)

    def lines(self) -> list[str]:
        """What a run prints before it trains."""
        s, batch = self.splits, self.config.loader.batch_size * distributed.world_size()
        sizes = " / ".join(f"{len(part):,}" for part in (s.train, s.val, s.test))
        accumulated = self.config.trainer.accumulate_grad_batches
        n_steps = len(self.batches("train", 0, self.config.loader.drop_last)) // accumulated
        slow = slowness(self.device, self.config.trainer.precision)
        return [
            describe_device(self.device),
            *([slow] if slow else []),
            f"data: {self.config.dataset}, {sizes} train / val / test, {self._shape()}; {s.note}",
            self.goal.line(),
            *self._staging(),
            *self.config.reference.lines(),
            group_table(self.model, groups_of(self.config, self.model)),
            f"{self.n_parameters:,} trainable numbers; an epoch: {n_steps:,} steps of {batch * accumulated}",
        ]

    def _shape(self) -> str:
        s = self.splits
        symbols = "" if s.vocabulary is None else f", {len(s.vocabulary):,} symbols"
        labels = "numbers as labels" if s.n_classes is None else f"{s.n_classes} classes"
        return f"L <= {s.l_max:,}{symbols}, {labels}"

    def _staging(self) -> list[str]:
        if self.device.type == "cpu":
            return []
        return [f"batches: gathered on the {'device' if self.data.on_device else 'host, one ahead, in pinned memory'}"]


def prepare(config: TrainConfig, device: torch.device) -> Prepared:
    """Reads the data and builds the model.

    Raises:
        UserError: the data are not there, the model does not fit them, or the device cannot do what the config asks.
    """
    if config.trainer.cuda_graph:
        check_capturable(device, config.trainer.precision)
    splits = load_splits(config)
    model = build_model(config, DataShape.of(splits, goal_of(splits, config.task).n_outputs)).to(device)
    model.tower.backbone.recompute = config.trainer.recompute
    return Prepared(config, place(splits, device, config.loader.stage), model)


def work(folders: list[RunFolder], control: Control) -> None:
    """Trains a run in a sweep's worker, silently."""
    for folder in folders:
        prepared = prepare(parse(folder.config), torch.device(control.device))
        folder.finish(train(prepared, folder, control))


def train(
    prepared: Prepared,
    folder: RunFolder | None,
    control: Control,
    say: Say = lambda line: None,
    progress: bool = False,
    resume: bool = True,
    disturbed: Mapping[str, Around] | None = None,
) -> dict[str, Any]:
    """Trains to the end and returns what result.json holds; process 0 alone has the folder, which it does not finish.

    Args:
        disturbed: contexts in which the test set is measured too, by name; everything about the test set is measured at the end,
            and with `trainer.test_every_epoch` after every epoch.

    Raises:
        Interrupted: asked to stop; the state is saved.
        FloatingPointError: the loss is not finite.
    """
    config, device, goal = prepared.config, prepared.device, prepared.goal
    start_record()
    seed_all(config.train.seed, distributed.rank())
    state = start(config, prepared.model, groups_of(config, prepared.model))
    ports = Ports(stop=control.stop)
    watch = Watch(prepared, say, folder)
    around = {"test": undisturbed_model, **(disturbed or {})}
    kept = {name: Kept(context) for name, context in around.items()} if isinstance(goal, ClassShares) else {}
    every_epoch = around if config.trainer.test_every_epoch else {}
    if folder is not None:
        ports = replace(run_ports(folder, control), progress=progress, say=say, log=watch.log, resume=resume)
        atomic_write(folder.path / ABOUT, ("\n".join(prepared.lines()) + "\n").encode())
    batches = prepared.batches("train", config.train.seed, config.loader.drop_last)
    result = fit(
        state,
        batches,
        goal.objective,
        config.trainer,
        device,
        best=config.train.best(goal.metric),
        evaluators={
            "val": prepared.evaluation("val"),
            **{name: prepared.evaluation("test", around=context) for name, context in every_epoch.items()},
        },
        final={name: prepared.evaluation("test", kept.get(name), context) for name, context in around.items()},
        ports=ports,
    )
    if folder is not None:
        draw_curves(folder, config.reference.accuracy)
        if kept and distributed.world_size() == 1:  # each of several processes has seen its share alone
            folder.save_arrays(**{key: right for name, own in kept.items() for key, right in own.arrays(name).items()})
    return outcome(prepared, result, watch)


class Watch:
    """Writes the rows of the log, says a line an epoch, and warns when nothing is learned."""

    def __init__(self, prepared: Prepared, say: Say, folder: RunFolder | None):
        self._goal, self._say, self._folder = prepared.goal, say, folder
        self._since, self.epoch_seconds = time.perf_counter(), []

    def log(self, step: int, **row: float) -> None:
        """Takes a row of a step or of an epoch."""
        if "epoch" in row:
            now = time.perf_counter()
            self.epoch_seconds.append(now - self._since)
            self._since = now
            row["epoch_seconds"] = self.epoch_seconds[-1]
            self._tell(row)
        self._folder.log.log(step, **row)

    def _tell(self, row: dict[str, float]) -> None:
        parts = [self._goal.words(row, split) for split in ("train", "val")]
        self._say(f"epoch {row['epoch']}: {'; '.join(parts)}; {row['epoch_seconds']:.1f} s")
        warning = nothing_learned(row, self._goal) if row["epoch"] == CHANCE_EPOCHS else None
        if warning:
            self._say(f"warning: {warning}")


def nothing_learned(row: Mapping[str, float], goal: Goal) -> str | None:
    """Returns a warning where an epoch's training loss is still that of guessing by the labels alone."""
    if row["train/loss"] <= LEARNED * goal.guessing:
        return None
    return f"the training loss, {row['train/loss']:.3f}, is still that of guessing, {goal.guessing:.3f}; nothing is learned"


def outcome(prepared: Prepared, result: FitResult, watch: Watch) -> dict[str, Any]:
    """Returns what the run's result.json holds."""
    config, splits = prepared.config, prepared.splits
    warning = nothing_learned(result.last, prepared.goal) if result.last else None
    return {
        **result.last,
        **result.final,
        "best/val": result.best,
        "best_epoch": result.best_epoch,
        "epochs": result.epochs,
        "steps": result.steps,
        "n_parameters": prepared.n_parameters,
        "data": f"{config.dataset}: {splits.note}",
        "n_train": len(splits.train),
        "l_max": splits.l_max,
        "vocabulary": None if splits.vocabulary is None else len(splits.vocabulary),
        **prepared.goal.facts(),
        "warnings": [warning] if warning else [],
        **_perturbation(config.layer),
        "epoch_seconds": sorted(watch.epoch_seconds)[len(watch.epoch_seconds) // 2] if watch.epoch_seconds else None,
        "device": describe_device(prepared.device).removeprefix("device: "),
        "backends": chosen(),
        "processes": distributed.world_size(),
    }


def _perturbation(layer: Layer) -> dict[str, Any]:
    """The figures of the E that the layers start from, and as it was found: reflection changes its size."""
    if not isinstance(layer, Perturbed):
        return {}
    found, trained = layer.find(), layer.trained()
    figures = {f"E_{name}": getattr(trained, name) for name in (*_FIGURES, "converged")}
    return figures | {f"E_found_{name}": getattr(found, name) for name in _FIGURES}
