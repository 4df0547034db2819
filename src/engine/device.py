"""Where and how exactly a run computes: its device, and mixed precision outside the SSM core.

Linear maps run in half precision; recurrences and FFTs see to it that they do not.
"""

import os
import time
from typing import Literal

import torch

from ..errors import UserError, did_you_mean

Precision = Literal["fp32", "bf16", "fp16"]
_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


def choose_device(name: str = "auto") -> torch.device:
    """Returns the device for "auto", "cpu", "cuda" or "cuda:<i>", and makes it this process's current one.

    Under torchrun "auto" and "cuda" mean the GPU numbered LOCAL_RANK, so that each process has its own.

    Raises:
        UserError: an unknown name, a CUDA device that is not there, or one GPU for all processes of torchrun.
    """
    kind, _, index = name.partition(":")
    if kind not in ("auto", "cpu", "cuda") or (index and (kind != "cuda" or not index.isdigit())):
        raise UserError(f"unknown device '{name}'{did_you_mean(name, ('auto', 'cpu', 'cuda'))}")
    if kind == "cpu" or (kind == "auto" and not torch.cuda.is_available()):
        return torch.device("cpu")
    if not torch.cuda.is_available():
        build = f"this torch ({torch.__version__}) sees no CUDA device"
        raise UserError(f"device '{name}': {build}; use device=cpu, or install a CUDA build of torch")
    local_rank, count = os.environ.get("LOCAL_RANK"), torch.cuda.device_count()
    if index and local_rank is not None and int(os.environ.get("LOCAL_WORLD_SIZE", 1)) > 1:
        raise UserError(f"device '{name}': processes of torchrun take a GPU each; use device=cuda")
    number = int(index or local_rank or 0)
    if number >= count:
        more = ", counted from 0" if index else f" for the processes of torchrun; use --nproc_per_node={count}"
        raise UserError(f"device '{name}': there are {count} CUDA devices{more}")
    torch.cuda.set_device(number)
    return torch.device("cuda", number)


def describe_device(device: torch.device) -> str:
    """Returns the line that a run prints about its device."""
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        return f"device: {device} ({properties.name}, {properties.total_memory / 2**30:.0f} GiB)"
    return f"device: cpu ({torch.get_num_threads()} threads)"


def autocast(device: torch.device, precision: Precision) -> torch.autocast:
    """Returns the context in which a model runs at that precision; parameters stay float32.

    Raises:
        UserError: float16 on a CPU.
    """
    if precision == "fp16" and device.type != "cuda":
        raise UserError("precision fp16 needs a CUDA device; use precision bf16 or fp32 on a CPU")
    return torch.autocast(device.type, dtype=_DTYPES.get(precision, torch.bfloat16), enabled=precision != "fp32")


def slowness(device: torch.device, precision: Precision) -> str | None:
    """Returns a warning if a matrix product at that precision, which only some CPUs have instructions for, takes longer than in float32."""
    if device.type != "cpu" or precision == "fp32":
        return None
    ratio = _product_seconds(_DTYPES[precision]) / _product_seconds(torch.float32)
    if ratio < 1.1:
        return None
    return f"warning: on this CPU a matrix product takes {ratio:.1f} times as long in {precision} as in fp32, which is better here"


def _product_seconds(dtype: torch.dtype) -> float:
    """The shortest of a few products of a layer's size, some milliseconds in all."""
    a, b = torch.ones(512, 256, dtype=dtype), torch.ones(256, 256, dtype=dtype)
    times = []
    for _ in range(5):
        started = time.perf_counter()
        a @ b
        times.append(time.perf_counter() - started)
    return min(times)


def loss_scaler(device: torch.device, precision: Precision) -> torch.amp.GradScaler:
    """Returns the scaler that keeps float16 gradients from vanishing; it does nothing at other precisions."""
    return torch.amp.GradScaler(device.type, enabled=precision == "fp16")
