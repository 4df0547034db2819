"""What a run learns, by the labels of its data: classes or a number. The loss, the metric, and what guessing costs."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from ...dataloaders import Splits
from ...dataloaders.base import Batch, SequenceDataset
from ...engine import class_measures, number_measures
from ...engine.tally import Measures, Ratio
from ...errors import UserError
from ...ops.precision import at_least_float32
from .own import OwnMeasure, OwnTask


class Goal(Protocol):
    """Classes or a number.

    Attributes:
        metric: what is reported and, by default, decides which weights are best; larger is better.
        n_outputs: numbers that the model gives for a sequence.
        guessing: training loss of a model that knows the labels' shares, or mean, and nothing else.
    """

    metric: str

    @property
    def n_outputs(self) -> int: ...

    @property
    def guessing(self) -> float: ...

    def objective(self, model: nn.Module, batch: Batch) -> Measures:
        """Measures a batch; padding is the model's affair."""
        ...

    def line(self) -> str:
        """One line about the labels of the training split."""
        ...

    def words(self, row: Mapping[str, float], split: str) -> str:
        """What an epoch's row says of a split."""
        ...

    def facts(self) -> dict[str, Any]:
        """What the result keeps of the labels."""
        ...


def goal_of(splits: Splits, task: Any = None) -> Goal:
    """Returns what the labels of a data set ask for, or the user's task."""
    if isinstance(task, OwnTask):
        own = task.make()
        return OwnGoal(own, getattr(own, "n_outputs", None) or splits.n_classes or 1, task.code.target)
    if splits.n_classes is None:
        return Number(*splits.target)
    return ClassShares.of(splits.train, splits.n_classes)


@dataclass(frozen=True)
class ClassShares:
    """One of several classes: cross-entropy and accuracy. Holds how often each class stands in the training split."""

    counts: tuple[int, ...]
    metric = "accuracy"

    @classmethod
    def of(cls, dataset: SequenceDataset, n_classes: int) -> "ClassShares":
        """Returns those of a data set."""
        return cls(tuple(torch.bincount(dataset.labels.cpu(), minlength=n_classes).tolist()))

    @property
    def n_outputs(self) -> int:
        return len(self.counts)

    @property
    def shares(self) -> list[float]:
        return [count / sum(self.counts) for count in self.counts]

    @property
    def guessing(self) -> float:
        """The entropy of the shares, in nats."""
        return -sum(share * math.log(share) for share in self.shares if share > 0)

    def objective(self, model: nn.Module, batch: Batch) -> Measures:
        """See `Goal`: cross-entropy and accuracy."""
        return class_measures(model(batch.x, lengths=batch.lengths), batch.y)

    def line(self) -> str:
        """Many classes by their extremes."""
        percent = [f"{100 * share:.1f}" for share in self.shares]
        some = (
            f"{', '.join(percent)} %"
            if len(percent) <= 10
            else f"{min(self.shares):.2%} to {max(self.shares):.2%} each"
        )
        return f"classes of the training split: {some}; guessing by them costs {self.guessing:.3f} and is right in {max(self.shares):.1%}"

    def words(self, row: Mapping[str, float], split: str) -> str:
        """See `Goal`."""
        return f"{split} loss {row[f'{split}/loss']:.4f}, {row[f'{split}/accuracy']:.2%}"

    def facts(self) -> dict[str, Any]:
        """See `Goal`."""
        return {"n_classes": self.n_outputs, "class_counts": list(self.counts)}


@dataclass(frozen=True)
class Number:
    """A number a sequence: mean squared error in units of the training labels' variance, mean absolute error in theirs, and R².

    Attributes:
        mean, std: of the training labels.
    """

    mean: float
    std: float
    metric = "r2"
    n_outputs = 1
    guessing = 1.0  # always saying the mean, by the definition of the unit

    def objective(self, model: nn.Module, batch: Batch) -> Measures:
        """See `Goal`: mean squared error, mean absolute error and R²."""
        return number_measures(model(batch.x, lengths=batch.lengths), batch.y, self.std)

    def line(self) -> str:
        """See `Goal`."""
        return f"labels are numbers, in training {self.mean:g} on average with standard deviation {self.std:g}; guessing the mean costs 1"

    def words(self, row: Mapping[str, float], split: str) -> str:
        """See `Goal`."""
        values = (row[f"{split}/{name}"] for name in ("loss", "r2", "mae"))
        return "{} loss {:.4f}, R² {:.4f}, off by {:.4g}".format(split, *values)

    def facts(self) -> dict[str, Any]:
        """See `Goal`; output * std + mean is the prediction in the user's unit."""
        return {"n_classes": None, "target_mean": self.mean, "target_std": self.std}


@dataclass(frozen=True)
class OwnGoal:
    """The loss and the score of a user's task; what guessing costs is not known."""

    own: OwnMeasure
    n_outputs: int
    name: str
    metric = "score"
    guessing = math.inf

    def objective(self, model: nn.Module, batch: Batch) -> Measures:
        """See `Goal`: loss and score."""
        output = at_least_float32(model(batch.x, lengths=batch.lengths))
        return {name: self._measure(name, output, batch.y) for name in ("loss", "score")}

    def _measure(self, name: str, output: Tensor, target: Tensor) -> Ratio:
        values = getattr(self.own, name)(output, target)
        if not isinstance(values, Tensor) or values.shape != target.shape:
            got = tuple(values.shape) if isinstance(values, Tensor) else type(values).__name__
            raise UserError(
                f"task: {self.name}.{name} gives {got}; expected one value an example, {tuple(target.shape)}"
            )
        return Ratio(values.float().sum(), len(target))

    def line(self) -> str:
        """See `Goal`."""
        return f"task: {self.name}, {self.n_outputs} numbers a sequence; score: larger is better"

    def words(self, row: Mapping[str, float], split: str) -> str:
        """See `Goal`."""
        return f"{split} loss {row[f'{split}/loss']:.4f}, score {row[f'{split}/score']:.4f}"

    def facts(self) -> dict[str, Any]:
        """See `Goal`."""
        return {"n_classes": None, "n_outputs": self.n_outputs, "task": self.name}
