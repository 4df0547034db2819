"""Sums of exponentials K[t] = Re sum_n w_n exp(z_n t), t < L, and their transpose, by two small power tables.

With t = a S + b, S ~ sqrt(L), the Vandermonde matrix factors into powers of exp(z S) and of exp(z),

    K[a S + b] = Re sum_n (w_n exp(z_n S)^a) (exp(z_n)^b),

so a kernel costs O(N sqrt(L)) complex exponentials and one real matrix product of 4 N L operations, where the N x L matrix costs
N L complex exponentials (S4D, arXiv 2206.11893, equation 7). The state's memory of an input, sum_t u_t exp(z t), is the transpose of
the same factorisation.

Three forms, one answer: `reference` is the definition. `torch` (any device) gets its tables by repeated doubling; what is doubled is
squared in float64. `triton` makes them on chip, from angles kept as integers. In both phases stay right at any L, and |exp(z)| = 1 is
no exception.
"""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from ..backend import Operation, values_and_gradients
from ..precision import at_least_float32, full_precision
from .reference import log_vandermonde_reference, log_vandermonde_transpose_reference
from .torch import LogVandermonde, LogVandermondeTranspose


def log_vandermonde(w: Tensor, z: Tensor, L: int, backend: str | None = None) -> Tensor:
    """Returns K[..., h, t] = Re sum_n w[..., h, n] exp(z[h, n] t) for t = 0..L-1.

    Args:
        w: (..., H, N) weights, real or complex; their precision is that of the result.
        z: (H, N) logarithms of the poles, real or complex like w; float64 keeps large phases exact.
        L: number of time steps, at least 1.
        backend: a form of `LOG_VANDERMONDE`; None is the one that `src.ops.backend` chooses for the device.

    Returns:
        (..., H, L), real.
    """
    if L < 1:
        raise ValueError(f"L must be at least 1, got {L}")
    w = at_least_float32(w)
    with full_precision(w):
        K = LOG_VANDERMONDE.on(w.device, backend)(w.reshape(-1, *z.shape), z, L)
        return K.reshape(*w.shape[:-1], L)


def log_vandermonde_transpose(u: Tensor, z: Tensor, backend: str | None = None) -> Tensor:
    """Returns m[..., h, n] = sum_t u[..., h, t] exp(z[h, n] t): the transpose of `log_vandermonde` in w.

    Args:
        u: (..., H, L) real; its precision is that of the result.
        z: (H, N) logarithms of the poles.
        backend: a form of `LOG_VANDERMONDE_TRANSPOSE`; None is the one for the device.

    Returns:
        (..., H, N), complex if z is.
    """
    u = at_least_float32(u)
    with full_precision(u):
        m = LOG_VANDERMONDE_TRANSPOSE.on(u.device, backend)(u.reshape(-1, *u.shape[-2:]), z)
        return m.reshape(*u.shape[:-1], z.shape[-1])


def _fused_log_vandermonde(w: Tensor, z: Tensor, L: int) -> Tensor:
    from .triton import log_vandermonde

    return log_vandermonde(w, z, L)


def _fused_log_vandermonde_transpose(u: Tensor, z: Tensor) -> Tensor:
    from .triton import log_vandermonde_transpose

    return log_vandermonde_transpose(u, z)


def _probe_leaves(device: torch.device) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Yields small w, u and z, complex and real; slowly decaying, longer than one tile of a fused kernel."""
    for field in (torch.complex64, torch.float32):
        generator = torch.Generator().manual_seed(0)
        draw = lambda *shape, dtype, generator=generator: torch.randn(*shape, dtype=dtype, generator=generator)
        w, u = draw(2, 2, 5, dtype=field), draw(2, 2, 5000, dtype=torch.float32)
        z = -1e-3 * torch.rand(2, 5, dtype=torch.float64, generator=generator)
        z = torch.complex(z, draw(2, 5, dtype=torch.float64)) if field.is_complex else z
        w, u, z = (leaf.to(device).requires_grad_() for leaf in (w, u, z))
        yield w, u, z


def _probe(form: Callable[..., Tensor], device: torch.device) -> list[Tensor]:
    run = lambda w, z: form(w, z, 5000)
    return [x for w, _, z in _probe_leaves(device) for x in values_and_gradients(run, [w, z])]


def _probe_transpose(form: Callable[..., Tensor], device: torch.device) -> list[Tensor]:
    return [x for _, u, z in _probe_leaves(device) for x in values_and_gradients(form, [u, z])]


LOG_VANDERMONDE = Operation(
    "diagonal kernel",
    {"reference": log_vandermonde_reference, "torch": LogVandermonde.apply, "triton": _fused_log_vandermonde},
    _probe,
)
LOG_VANDERMONDE_TRANSPOSE = Operation(
    "diagonal state",
    {
        "reference": log_vandermonde_transpose_reference,
        "torch": LogVandermondeTranspose.apply,
        "triton": _fused_log_vandermonde_transpose,
    },
    _probe_transpose,
)
