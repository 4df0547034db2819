"""Batches on their way to a GPU: made one ahead by a thread, in pinned memory, and copied while the host goes on.

The batches, their order and their values are those of the source; on a CPU it is the source.
"""

import itertools
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

from .batches import Batch, Batches, map_tensors, pinned, tensors_in, to_device

Item = TypeVar("Item")


class Staged:
    """A source whose batches arrive on the device.

    Args:
        batches: the source, on the host.
        together: batches a copy, all of one shape; small ones cost less so.
    """

    def __init__(self, batches: Batches, device: torch.device, together: int = 1) -> None:
        self._batches, self._device, self._together = batches, device, together

    def __len__(self) -> int:
        return len(self._batches)

    def iterate(self, epoch: int = 0, start: int = 0) -> Iterator[Batch]:
        """See `Batches`; an epoch that is entered in the middle begins a new copy there."""
        batches = self._batches.iterate(epoch, start)
        if self._device.type == "cpu":
            return batches
        if self._together == 1:
            return (to_device(batch, self._device) for batch in ahead(map(pinned, batches)))
        stacks = ahead(map(pinned, stacked(batches, self._together)))
        return unstacked(to_device(stack, self._device) for stack in stacks)


def ahead(items: Iterator[Item]) -> Iterator[Item]:
    """Yields the items, each made by a thread while the one before is used."""
    end = object()
    with ThreadPoolExecutor(1, "batches") as pool:
        coming = pool.submit(next, items, end)
        while (item := coming.result()) is not end:
            coming = pool.submit(next, items, end)
            yield item


def stacked(batches: Iterator[Batch], size: int) -> Iterator[Batch]:
    """Yields `size` batches at a time (the last time fewer) as one whose tensors have a new first axis."""
    while group := list(itertools.islice(batches, size)):
        stacks = map(torch.stack, zip(*map(tensors_in, group), strict=True))
        yield map_tensors(lambda _, stacks=stacks: next(stacks), group[0])


def unstacked(stacks: Iterator[Batch]) -> Iterator[Batch]:
    """Yields the batches of which `stacked` made stacks."""
    for stack in stacks:
        for i in range(len(next(tensors_in(stack)))):
            yield map_tensors(lambda tensor, i=i: tensor[i], stack)
