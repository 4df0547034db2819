"""Batches as a function of (seed, epoch, position): a resumed run asks for the rest of an epoch and gets what it would have got.

A source has a length, the batches of an epoch for this process, and `iterate(epoch, start)`. With W processes and batches of B, each step
takes the next W B samples of the epoch's order and process r the r-th part of them, so W processes do what one does with batches of W B.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from . import distributed

Batch = Any  # tensors in tuples, lists and dicts
Indices = np.ndarray  # (b,) int64: the samples of a batch


class Batches(Protocol):
    """A source of batches."""

    def __len__(self) -> int: ...

    def iterate(self, epoch: int = 0, start: int = 0) -> Iterator[Batch]: ...


def training_order(n: int, batch_size: int, seed: int, epoch: int, drop_last: bool = True) -> list[Indices]:
    """Returns this process's batches of an epoch over n samples, shuffled by (seed, epoch).

    The last, smaller batch is kept with `drop_last=False` where it has a sample for every process.
    """
    order = np.random.default_rng([seed, epoch]).permutation(n)
    world, rank = distributed.world_size(), distributed.rank()
    step = batch_size * world
    whole = [order[i + rank * batch_size :][:batch_size] for i in range(0, n - step + 1, step)]
    rest = order[len(whole) * step :]
    if not drop_last and len(rest) >= world:
        whole.append(np.array_split(rest, world)[rank])
    return whole


def evaluation_order(n: int, batch_size: int) -> list[Indices]:
    """Returns this process's batches of one pass over n samples in their order: each sample in one process, once."""
    batches = [np.arange(i, min(i + batch_size, n)) for i in range(0, n, batch_size)]
    return batches[distributed.rank() :: distributed.world_size()]


class Ordered:
    """What sources of stored samples share: the order of the samples."""

    def __init__(self, n: int, batch_size: int, seed: int | None, drop_last: bool) -> None:
        if batch_size < 1 or n < 1:
            raise ValueError(f"expected samples and a positive batch size, got {n} samples and batches of {batch_size}")
        self._n, self._batch_size, self._seed, self._drop_last = n, batch_size, seed, drop_last

    def __len__(self) -> int:
        return len(self._order(0))

    def _order(self, epoch: int) -> list[Indices]:
        if self._seed is None:
            return evaluation_order(self._n, self._batch_size)
        return training_order(self._n, self._batch_size, self._seed, epoch, self._drop_last)


class TensorBatches(Ordered):
    """Rows of tensors in memory, on any device: the fastest source where the data fits.

    Args:
        tensors: each (n, ...).
        seed: of the shuffling; None is one unshuffled pass with every sample, for evaluation.
    """

    def __init__(
        self, tensors: Sequence[Tensor], batch_size: int, seed: int | None = None, drop_last: bool = True
    ) -> None:
        super().__init__(len(tensors[0]), batch_size, seed, drop_last)
        self._tensors = tuple(tensors)

    def iterate(self, epoch: int = 0, start: int = 0) -> Iterator[Batch]:
        for indices in self._order(epoch)[start:]:
            rows, device = torch.from_numpy(indices), self._tensors[0].device
            rows = to_device(pinned(rows), device) if device.type == "cuda" else rows.to(device)
            yield tuple(tensor[rows] for tensor in self._tensors)


class GeneratedBatches:
    """Fresh batches, never the same twice: `make(seed, number)` for number 0, 1, ... over all epochs and processes.

    Args:
        make: returns the batch of that number; the same arguments give the same batch.
        batches_per_epoch: how many batches of each process are called an epoch.
    """

    def __init__(self, make: Callable[[int, int], Batch], batches_per_epoch: int, seed: int) -> None:
        if batches_per_epoch < 1:
            raise ValueError(f"batches_per_epoch must be positive, got {batches_per_epoch}")
        self._make, self._length, self._seed = make, batches_per_epoch, seed

    def __len__(self) -> int:
        return self._length

    def iterate(self, epoch: int = 0, start: int = 0) -> Iterator[Batch]:
        for position in range(start, self._length):
            step = epoch * self._length + position
            yield self._make(self._seed, step * distributed.world_size() + distributed.rank())


def map_tensors(change: Callable[[Tensor], Tensor], batch: Batch) -> Batch:
    """Returns the batch with each tensor changed; the rest as it is."""
    if isinstance(batch, Tensor):
        return change(batch)
    if isinstance(batch, dict):
        return {key: map_tensors(change, value) for key, value in batch.items()}
    if isinstance(batch, tuple) and hasattr(batch, "_fields"):
        return type(batch)(*(map_tensors(change, value) for value in batch))
    if isinstance(batch, (tuple, list)):
        return type(batch)(map_tensors(change, value) for value in batch)
    return batch


def tensors_in(batch: Batch) -> Iterator[Tensor]:
    """Yields the tensors of a batch in the order of `map_tensors`."""
    if isinstance(batch, Tensor):
        yield batch
    elif isinstance(batch, (dict, tuple, list)):
        for value in batch.values() if isinstance(batch, dict) else batch:
            yield from tensors_in(value)


def to_device(batch: Batch, device: torch.device) -> Batch:
    """Returns the batch with its tensors on `device`; pinned memory is copied while the host goes on."""
    return map_tensors(lambda tensor: tensor.to(device, non_blocking=True), batch)


def pinned(batch: Batch) -> Batch:
    """Returns the batch in memory of the host that a CUDA device reads by itself."""
    return map_tensors(Tensor.pin_memory, batch)


def samples_in(batch: Batch) -> int:
    """Returns the number of samples: the length of the first tensor."""
    for tensor in tensors_in(batch):
        return len(tensor)
    raise ValueError("a batch without a tensor")
