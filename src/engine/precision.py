"""Mixed precision outside the SSM core: linear maps run in half precision; recurrences and FFTs see to it that they do not."""

import time
from typing import Literal

import torch

from src.errors import UserError

Precision = Literal["fp32", "bf16", "fp16"]
_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


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
