"""Steps of one shape as a captured CUDA graph: the host launches one thing a step instead of thousands of kernels.

A graph repeats kernels on fixed memory. So a batch is copied into buffers of its shape, everything else that changes lives on the device
(learning rates, the optimizer's counters, sums of metrics), and the graph leaves its results in place. Dropout draws what it would
draw without a graph: torch advances its generator at every replay. The first steps of a shape run as they are and warm up what a
capture must not do for the first time (plans of FFTs, compiled kernels, the optimizer's state); so do shapes beyond the limit.
"""

from collections import Counter
from collections.abc import Callable, Hashable
from functools import partial
from typing import Protocol

import torch
from torch import Tensor

from ..errors import UserError
from . import distributed
from .batches import Batch, map_tensors, tensors_in
from .device import Precision

WARM_UP = 3  # steps of a shape before it is captured
LIMIT = 4  # graphs; texts have a shape of their own in almost every batch

Run = Callable[[], None]


class Capture(Protocol):
    """How a run is made repeatable."""

    def warm_up(self, run: Run) -> None:
        """Runs it as it is, where a capture would."""
        ...

    def __call__(self, run: Run) -> Run:
        """Returns what repeats it; the capture itself changes no memory."""
        ...


class CudaCapture:
    """CUDA graphs on one stream and in one pool of memory: they run one after another and keep nothing in it."""

    def __init__(self) -> None:
        self._stream, self._pool = torch.cuda.Stream(), torch.cuda.graph_pool_handle()

    def warm_up(self, run: Run) -> None:
        """Runs it on the stream of the captures."""
        self._stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self._stream):
            run()
        torch.cuda.current_stream().wait_stream(self._stream)

    def __call__(self, run: Run) -> Run:
        """Returns the replay of a new graph.

        Raises:
            UserError: the run does what a graph cannot hold, such as waiting for a value.
        """
        graph = torch.cuda.CUDAGraph()
        try:
            # of this thread alone: another one may be pinning the next batch
            with torch.cuda.graph(graph, self._pool, self._stream, capture_error_mode="thread_local"):
                run()
        except RuntimeError as error:
            first_line = (str(error).strip().splitlines() or [""])[0]
            raise UserError(f"trainer.cuda_graph=true: the step cannot be captured ({first_line[:120]})") from error
        return graph.replay


class Graphs:
    """Calls `update(batches)`, by a graph of their shapes where there is one.

    Args:
        update: works in place, on nothing but the batches and tensors that stay where they are.
        capture: makes the graphs.
    """

    def __init__(self, update: Callable[[list[Batch]], None], capture: Capture) -> None:
        self._update, self._capture = update, capture
        self._seen: Counter[Hashable] = Counter()
        self._graphs: dict[Hashable, tuple[list[Batch], Run]] = {}

    def __call__(self, batches: list[Batch]) -> None:
        key = shapes(batches)
        if key not in self._graphs:
            if len(self._graphs) == LIMIT:
                return self._update(batches)
            self._seen[key] += 1
            if self._seen[key] <= WARM_UP:
                return self._capture.warm_up(partial(self._update, batches))
            buffers = map_tensors(torch.empty_like, batches)
            self._fill(buffers, batches)
            self._graphs[key] = buffers, self._capture(partial(self._update, buffers))
        buffers, replay = self._graphs[key]
        self._fill(buffers, batches)
        replay()

    @staticmethod
    def _fill(buffers: list[Batch], batches: list[Batch]) -> None:
        for buffer, tensor in zip(tensors_in(buffers), tensors_in(batches), strict=True):
            buffer.copy_(tensor)


def shapes(batch: Batch) -> Hashable:
    """Returns what two batches share when the same kernels serve both: shapes, types, and all that is no tensor."""
    if isinstance(batch, Tensor):
        return batch.shape, batch.dtype
    if isinstance(batch, dict):
        return tuple((key, shapes(value)) for key, value in batch.items())
    if isinstance(batch, (tuple, list)):
        return tuple(map(shapes, batch))
    return batch


def check_capturable(device: torch.device, precision: Precision) -> None:
    """Raises UserError where a run cannot use CUDA graphs."""
    if device.type != "cuda":
        raise UserError("trainer.cuda_graph=true needs a CUDA device and this run is on a CPU; set it to false")
    if precision == "fp16":
        raise UserError("trainer.cuda_graph=true does not go with precision fp16, whose scaler skips steps; use bf16")
    if distributed.world_size() > 1:
        raise UserError("trainer.cuda_graph=true is for one process; with torchrun set it to false")
