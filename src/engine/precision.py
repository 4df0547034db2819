"""Mixed precision outside the SSM core: linear maps run in half precision; recurrences and FFTs see to it that they do not."""

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


def loss_scaler(device: torch.device, precision: Precision) -> torch.amp.GradScaler:
    """Returns the scaler that keeps float16 gradients from vanishing; it does nothing at other precisions."""
    return torch.amp.GradScaler(device.type, enabled=precision == "fp16")
