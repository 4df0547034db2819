"""What a failure means for the process it happened in: memory to be given back, or a CUDA context that nothing can use any more."""

import gc
import re
import sys
import traceback
from collections.abc import Iterator

from .control import Control
from .devices import is_gpu

_GPU_MEMORY = re.compile(r"CUDA.*out of memory|CU(BLAS|DNN|SOLVER|SPARSE)_STATUS_ALLOC_FAILED|CUFFT_ALLOC_FAILED", re.S)
_HOST_MEMORY = re.compile(r"DefaultCPUAllocator|Cannot allocate memory")
_CUDA = re.compile(r"CUDA (driver )?error|Triton Error \[CUDA\]")


class OutOfMemory(RuntimeError):
    """A run needed more memory than there was; the message says where, and what to change."""


def out_of_memory(error: BaseException, control: Control) -> OutOfMemory | None:
    """Returns the failure to record when `error` comes from a lack of memory (its cause is `error`), else None."""
    kinds = [_memory_of(link) for link in _chain(error)]
    if not any(kinds):
        return None
    on_gpu = is_gpu(control.device)
    what = f"GPU memory on {control.device}" if "gpu" in kinds else "memory"
    together = f" with {control.sharing} runs {'a GPU' if on_gpu else 'at a time'}" if control.sharing > 1 else ""
    fewer = f"{'--runs_per_gpu' if on_gpu else '--num_cpus'} or " if control.sharing > 1 else ""
    failure = OutOfMemory(f"ran out of {what}{together}; lower {fewer}the batch size")
    failure.__cause__ = error
    return failure


def _memory_of(error: BaseException) -> str | None:
    """The memory that was lacking, "gpu" or "host"; None for any other error."""
    if isinstance(error, MemoryError):
        return "host"
    if not isinstance(error, RuntimeError):
        return None
    if type(error).__name__ == "OutOfMemoryError" or _GPU_MEMORY.search(str(error)):
        return "gpu"
    return "host" if _HOST_MEMORY.search(str(error)) else None


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """The error and what led to it: a failed graph capture hides the lack of memory that made it fail."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def is_context_lost(error: BaseException, device: str) -> bool:
    """Tells whether every later CUDA call of this process may fail too, as after an assertion or a bad address on the device."""
    if not is_gpu(device):
        return False
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        try:
            torch.cuda.synchronize()
        except Exception:  # the error stays: any call reports it again
            return True
    texts = [str(link) for link in _chain(error) if isinstance(link, RuntimeError) and _memory_of(link) is None]
    return any(_CUDA.search(text) for text in texts)


def give_back(device: str, error: BaseException | None = None) -> None:
    """Frees what the work left behind: tensors in the frames of its traceback and in reference cycles, and cached blocks of the GPU.

    Other workers on the card can have them then.
    """
    for link in _chain(error):
        traceback.clear_frames(link.__traceback__)
    gc.collect()
    torch = sys.modules.get("torch")
    if is_gpu(device) and torch is not None and torch.cuda.is_initialized():
        torch.cuda.empty_cache()
