"""Discretisation of diagonal systems x' = Lambda x + B u inside a model: log(Abar) and the gain Bbar / B of a step dt.

| rule       | log(Abar)                 | Bbar / B                          |
|------------|---------------------------|-----------------------------------|
| `zoh`      | z                         | dt (exp(z) - 1) / z, z = dt Lambda |
| `bilinear` | log((1 + z/2) / (1 - z/2)) | dt / (1 - z/2)                    |

These are the rules of `src.linalg.discretise`, differentiable. Everything is elementwise on (H, N), so the cost is what it takes to start
it: the form `triton` is one kernel forward and one backward, right to rounding at z = 0 as well, gradients included.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from ..backend import Operation, values_and_gradients
from .reference import discretise_reference

DISCRETISATIONS = ("zoh", "bilinear")


def discretise(Lambda: Tensor, dt: Tensor, disc: str, backend: str | None = None) -> tuple[Tensor, Tensor]:
    """Returns log(Abar) and Bbar / B of a diagonal system, (H, N) each.

    Args:
        Lambda: (H, N) poles, complex128 or float64.
        dt: (H,) steps, float64.
        disc: one of `DISCRETISATIONS`.
        backend: a form of `DISCRETISE`; None is the one that `src.ops.backend` chooses for the device.

    Raises:
        ValueError: an unknown rule or backend.
    """
    if disc not in DISCRETISATIONS:
        raise ValueError(f"unknown discretisation '{disc}', expected one of {DISCRETISATIONS}")
    return DISCRETISE.on(Lambda.device, backend)(Lambda, dt, disc)


def _fused(Lambda: Tensor, dt: Tensor, disc: str) -> tuple[Tensor, Tensor]:
    from .triton import discretise

    return discretise(Lambda, dt, disc)


def _probe(form: Callable[..., tuple[Tensor, Tensor]], device: torch.device) -> list[Tensor]:
    """Both rules and both fields, poles from slow to fast."""
    results = []
    for disc in DISCRETISATIONS:
        re, im = torch.meshgrid(
            -torch.logspace(-3, 0.2, 5).double(), torch.linspace(-90, 90, 7).double(), indexing="ij"
        )
        for Lambda in (torch.complex(re, im), re):
            dt = torch.logspace(-3, 0, len(re), dtype=torch.float64)
            leaves = [x.clone().to(device).requires_grad_() for x in (Lambda, dt)]
            results += values_and_gradients(lambda Lambda, dt, disc=disc: form(Lambda, dt, disc), leaves)
    return results


DISCRETISE = Operation(
    "discretisation",
    {"reference": discretise_reference, "torch": discretise_reference, "triton": _fused},
    _probe,
)
