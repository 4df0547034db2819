"""A training step that is repeated many thousand times: recorded when it is first needed, replayed from then on.

A step can be recorded if it works in place on tensors that stay where they are, keeps no other memory and asks the host for nothing.
A CUDA graph then starts all its kernels with one call. What is recorded is a block of steps, and one step for the rest of a count.
"""

from collections.abc import Callable

import torch

Action = Callable[[], None]
BLOCK = 20  # steps in the long recording: the host has 20 steps' time to start the next one
WARM_UP = 3  # steps before the recording: libraries allocate and compile when they are first used, which no recording may contain


class Repeated:
    """Does a step `count` times a call: the first `WARM_UP` times as it is, then by replays of what `record` made of it.

    Args:
        record: turns an action, without doing it, into one that does the same.
    """

    def __init__(self, step: Action, record: Callable[[Action], Action]) -> None:
        self._step, self._record = step, record
        self._cold = WARM_UP
        self._replay: dict[int, Action] = {}  # by number of steps

    def __call__(self, count: int) -> None:
        first = min(count, self._cold)
        self._cold -= first
        self._times(first)
        blocks, rest = divmod(count - first, BLOCK)
        for _ in range(blocks):
            self._recorded(BLOCK)()
        for _ in range(rest):
            self._recorded(1)()

    def _times(self, count: int) -> None:
        for _ in range(count):
            self._step()

    def _recorded(self, count: int) -> Action:
        if count not in self._replay:
            self._replay[count] = self._record(lambda: self._times(count))
        return self._replay[count]


def as_cuda_graph(device: torch.device) -> Callable[[Action], Action]:
    """Returns a recorder for actions on a CUDA device."""

    def record(action: Action) -> Action:
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.device(device), torch.cuda.graph(graph):
            action()
        return graph.replay

    return record


def as_it_is(action: Action) -> Action:
    """Records nothing: the action, called from the host every time."""
    return action
