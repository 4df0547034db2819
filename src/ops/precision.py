"""An SSM core is never computed in half precision: length amplifies the rounding of its poles."""

from collections.abc import Callable
from functools import wraps

import torch
from torch import Tensor, nn


def full_precision(x: Tensor) -> torch.autocast:
    """Returns a context in which autocast is off on the device of `x`."""
    return torch.autocast(x.device.type, enabled=False)


def at_least_float32(x: Tensor) -> Tensor:
    """Casts float16 and bfloat16 up to float32; leaves every other dtype alone."""
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x


def in_full_precision(method: Callable) -> Callable:
    """Runs a method of a module with autocast off on the device of the module's first parameter or buffer."""

    @wraps(method)
    def wrapped(self: nn.Module, *args, **kwargs):
        with full_precision(next(iter(self.state_dict(keep_vars=True).values()))):
            return method(self, *args, **kwargs)

    return wrapped
