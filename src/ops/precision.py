"""An SSM core is never computed in half precision: length amplifies the rounding of its poles."""

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor


def field_of(z: Tensor, real: torch.dtype) -> torch.dtype:
    """Returns the dtype of z's field in the precision of `real`."""
    return real.to_complex() if z.is_complex() else real


def full_precision(where: Tensor | torch.device) -> AbstractContextManager:
    """Returns a context in which autocast is off on a device, or on that of a tensor."""
    device = (where if isinstance(where, torch.device) else where.device).type
    return torch.autocast(device, enabled=False) if torch.amp.is_autocast_available(device) else nullcontext()


def at_least_float32(x: Tensor) -> Tensor:
    """Casts float16 and bfloat16 up to float32; leaves every other dtype alone."""
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
