"""What every data set gives: three splits, each a map data set that hands out whole batches at once.

A batch is gathered with a few tensor operations from an array in memory or mapped from disk: no Python per example and no worker process.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol, Self

import torch
from torch import Tensor

from .placement import Placement


class Batch(NamedTuple):
    """Examples with their labels.

    x: (B, L, d_input) float32 values, (B, L) int64 tokens, or (B, 2, L) tokens of document pairs.
    y: (B,) int64 classes.
    lengths: (B,), or (B, 2) for pairs: how many entries of each sequence are real; None where all are.
    """

    x: Tensor
    y: Tensor
    lengths: Tensor | None = None


class SequenceDataset(Protocol):
    """A map data set that is asked for batches."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        """Returns one example: x without its batch dimension, and its class."""
        ...

    def batch(self, indices: Tensor, generator: torch.Generator | None = None) -> Batch:
        """Returns the examples at `indices` (B,) int64, in that order.

        Args:
            generator: where random augmentation draws from; a data set without augmentation leaves it alone.
        """
        ...

    def placed(self, placement: Placement) -> Self:
        """Returns the same data set with its arrays in `placement`: `indices` and random draws stay on the host, batches do not."""
        ...


class MapDataset:
    """`__getitem__` by way of `batch`."""

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        if not -len(self) <= index < len(self):
            raise IndexError(f"index {index} of {len(self)} examples")
        x, y, _ = self.batch(torch.tensor([index % len(self)]))
        return x[0], y[0]


class Subset(MapDataset):
    """The examples of `dataset` at `indices`, without a copy of them."""

    def __init__(self, dataset: SequenceDataset, indices: Tensor):
        self.dataset, self.indices = dataset, indices

    def __len__(self) -> int:
        return len(self.indices)

    def batch(self, indices: Tensor, generator: torch.Generator | None = None) -> Batch:
        """See `SequenceDataset.batch`."""
        return self.dataset.batch(self.indices[indices], generator)

    def placed(self, placement: Placement) -> "Subset":
        """See `SequenceDataset.placed`."""
        return Subset(self.dataset.placed(placement), self.indices)


@dataclass(frozen=True)
class Splits:
    """A data set ready for training.

    Attributes:
        n_classes: number of classes.
        l_max: no sequence is longer.
        d_input: width of a time step; None for tokens.
        vocabulary: the symbols in the order of their numbers, the padding first; None for values.
        note: how the splits were made, in one line for the results.
    """

    train: SequenceDataset
    val: SequenceDataset
    test: SequenceDataset
    n_classes: int
    l_max: int
    d_input: int | None = None
    vocabulary: tuple[str, ...] | None = None
    note: str = ""

    def placed(self, placement: Placement) -> "Splits":
        """Returns the splits with their arrays in `placement`."""
        train, val, test = (split.placed(placement) for split in (self.train, self.val, self.test))
        return replace(self, train=train, val=val, test=test)

    @property
    def n_bytes(self) -> int:
        """Size of all arrays that `placed` copies."""
        counter = Placement(torch.device("meta"))
        self.placed(counter)
        return counter.n_bytes


def random_split(n: int, sizes: Sequence[int], seed: int) -> list[Tensor]:
    """Returns disjoint index sets of the given sizes, as `torch.utils.data.random_split` draws them from a fresh generator.

    The published splits (45,000 / 5,000 of CIFAR-10, 80 / 10 / 10 % of Pathfinder) are this rule with seed 42.
    """
    if sum(sizes) != n:
        raise ValueError(f"sizes {list(sizes)} do not add up to {n}")
    return list(torch.randperm(n, generator=torch.Generator().manual_seed(seed)).split(list(sizes)))


def split_train(dataset: SequenceDataset, val_split: float, seed: int) -> tuple[Subset, Subset]:
    """Returns (train, val): the last `val_split` of a random order is held out."""
    n_train = int(len(dataset) * (1 - val_split))
    train, val = random_split(len(dataset), [n_train, len(dataset) - n_train], seed)
    return Subset(dataset, train), Subset(dataset, val)
