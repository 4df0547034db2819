"""One training run, in the process that the user sees or in a sweep's worker: from its config to its result and its curves."""

import math
import time
from collections.abc import Callable
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
from ...report.train import draw_curves
from ...sweep import Control, RunFolder
from .config import TrainConfig, parse
from .data import PlacedSplits, load_splits, place
from .kept import Kept
from .model import DataShape, build_model, groups_of, objective, start

CHANCE_EPOCHS = 3  # after so many a loss that still sits at ln(classes) is worth a warning
Say = Callable[[str], None]


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

    def evaluation(self, split: str, kept: Kept | None = None) -> Evaluation:
        """Returns the evaluation of a split, one that keeps which examples were right where `kept` is given."""
        trainer = self.config.trainer
        limit = trainer.limit_val_batches if split == "val" else trainer.limit_test_batches
        around = {} if kept is None else {"around": kept.around}
        return Evaluation(self.batches(split), kept or objective, self.device, trainer.precision, limit=limit, **around)

    @cached_property
    def n_parameters(self) -> int:
        return sum(p.numel() for p in self.model.parameters() if p.requires_grad)

    def lines(self) -> list[str]:
        """What a run prints before it trains."""
        s, batch = self.splits, self.config.loader.batch_size * distributed.world_size()
        sizes = " / ".join(f"{len(part):,}" for part in (s.train, s.val, s.test))
        accumulated = self.config.trainer.accumulate_grad_batches
        slow = slowness(self.device, self.config.trainer.precision)
        return [
            describe_device(self.device),
            *([slow] if slow else []),
            f"data: {self.config.dataset}, {sizes} train / val / test, L <= {s.l_max:,}, {s.n_classes} classes; {s.note}",
            *self._staging(),
            *self.config.reference.lines(),
            group_table(self.model, groups_of(self.config, self.model)),
            f"{self.n_parameters:,} trainable numbers; an epoch: {len(s.train) // (batch * accumulated):,} steps of {batch * accumulated}",
        ]

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
    model = build_model(config, DataShape.of(splits)).to(device)
    return Prepared(config, place(splits, device, config.loader.stage), model)


def work(folders: list[RunFolder], control: Control) -> None:
    """Trains a run in a sweep's worker, silently."""
    for folder in folders:
        prepared = prepare(parse(folder.config), torch.device(control.device))
        train(prepared, folder, control)


def train(
    prepared: Prepared,
    folder: RunFolder | None,
    control: Control,
    say: Say = lambda line: None,
    progress: bool = False,
    resume: bool = True,
) -> None:
    """Trains to the end and finishes the folder, which process 0 alone has.

    Raises:
        Interrupted: asked to stop; the state is saved.
        FloatingPointError: the loss is not finite.
    """
    config, device = prepared.config, prepared.device
    seed_all(config.train.seed, distributed.rank())
    state = start(config, prepared.model, groups_of(config, prepared.model))
    ports = Ports(stop=control.stop)
    watch, kept = Watch(prepared, say, folder), Kept()
    if folder is not None:
        ports = replace(run_ports(folder, control), progress=progress, say=say, log=watch.log, resume=resume)
    batches = prepared.batches("train", config.train.seed, config.loader.drop_last)
    result = fit(
        state,
        batches,
        objective,
        config.trainer.plan(config.train),
        device,
        evaluators={"val": prepared.evaluation("val")},
        final={"test": prepared.evaluation("test", kept)},
        ports=ports,
    )
    if folder is not None:
        draw_curves(folder, config.reference.accuracy)
        if distributed.world_size() == 1:  # each of several processes has seen its share alone
            folder.save_arrays(**kept.arrays())
        folder.finish(outcome(prepared, result, watch))


class Watch:
    """Writes the rows of the log, says a line an epoch, and warns when nothing is learned."""

    def __init__(self, prepared: Prepared, say: Say, folder: RunFolder | None):
        self._n_classes, self._say, self._folder = prepared.splits.n_classes, say, folder
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
        parts = [
            f"{split} loss {row[f'{split}/loss']:.4f}, {row[f'{split}/accuracy']:.2%}" for split in ("train", "val")
        ]
        self._say(f"epoch {row['epoch']}: {'; '.join(parts)}; {row['epoch_seconds']:.1f} s")
        chance = math.log(self._n_classes)
        if row["epoch"] == CHANCE_EPOCHS and row["train/loss"] > 0.995 * chance:
            self._say(
                f"warning: the loss is still that of guessing, ln {self._n_classes} = {chance:.3f}; nothing is learned yet"
            )


def outcome(prepared: Prepared, result: FitResult, watch: Watch) -> dict[str, Any]:
    """Returns what the run's result.json holds."""
    config, splits = prepared.config, prepared.splits
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
        "epoch_seconds": sorted(watch.epoch_seconds)[len(watch.epoch_seconds) // 2] if watch.epoch_seconds else None,
        "device": describe_device(prepared.device).removeprefix("device: "),
        "processes": distributed.world_size(),
    }
