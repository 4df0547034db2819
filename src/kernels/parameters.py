"""How kernels hold parameters: real tensors only, each with its own learning rate, dt and Re(A) through a transform."""

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from ..errors import UserError, did_you_mean

LearningRate = float | None | Mapping[str, float | None]
_NAMES = ("dt", "A", "B", "C")
MIN_DECAY = 1e-4  # the least -Re(A) at the start; the logarithm that stores it has no zero


def register(
    module: nn.Module, name: str, value: Tensor, lr: float | None = None, weight_decay: float | None = 0.0
) -> None:
    """Stores a real tensor as a parameter, or as a buffer when its learning rate is 0.

    Args:
        module: owner.
        name: attribute name.
        value: real tensor of any shape.
        lr: the tensor's own learning rate; None is the global one; 0 freezes it.
        weight_decay: the tensor's own weight decay; None is the global one.
    """
    if value.is_complex():
        raise ValueError(f"parameter '{name}' must be real; store complex values as pairs")
    value = value.detach().to(torch.get_default_dtype()).clone()
    if lr == 0.0:
        module.register_buffer(name, value)
        return
    parameter = nn.Parameter(value)
    parameter._optim = {k: v for k, v in (("lr", lr), ("weight_decay", weight_decay)) if v is not None}
    module.register_parameter(name, parameter)


def learning_rates(lr: LearningRate) -> dict[str, float | None]:
    """Returns the learning rate of dt, A, B and C; a single number or None is for dt, A and B: C takes the global rate.

    Raises:
        UserError: an unknown name in a dict, or a negative rate.
    """
    if not isinstance(lr, Mapping):
        lr = {"dt": lr, "A": lr, "B": lr}
    for name, value in lr.items():
        if name not in _NAMES:
            raise UserError(f"unknown parameter '{name}' in the layer's lr{did_you_mean(name, _NAMES)}")
        if value is not None and not value >= 0:
            raise UserError(f"the layer's lr of '{name}' must be a number of at least 0 or null, got {value!r}")
    return {name: lr.get(name) for name in _NAMES}


def draw_dt(H: int, dt_min: float, dt_max: float, transform: str, generator: torch.Generator | None = None) -> Tensor:
    """Returns H steps, log-uniform in [dt_min, dt_max], through the inverse of `transform`."""
    if not 0 < dt_min <= dt_max:
        raise UserError(f"expected 0 < dt_min <= dt_max, got dt_min={dt_min} and dt_max={dt_max}")
    if transform not in ("softplus", "exp"):
        raise UserError(f"unknown dt_transform '{transform}'{did_you_mean(transform, ('softplus', 'exp'))}")
    u = torch.rand(H, generator=generator, dtype=torch.float64)
    log_dt = u * (math.log(dt_max) - math.log(dt_min)) + math.log(dt_min)
    return log_dt if transform == "exp" else torch.log(torch.expm1(log_dt.exp()))


def dt_of(inv_dt: Tensor, transform: str) -> Tensor:
    """Returns the steps in float64 from what `draw_dt` returned."""
    x = inv_dt.double()
    return x.exp() if transform == "exp" else torch.logaddexp(x, torch.zeros_like(x))


def pairs(z: Tensor) -> Tensor:
    """Returns a complex tensor (...) as real pairs (..., 2)."""
    return torch.view_as_real(z.resolve_conj().contiguous())


def complex128(pair: Tensor) -> Tensor:
    """Returns real pairs (..., 2) as complex128 (...)."""
    return torch.view_as_complex(pair.double().contiguous())
