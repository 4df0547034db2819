"""Convolution of every channel by the FFT, causal or two-sided, in blocks of channels.

    y[t] = sum_{j >= 0} K[j] u[t - j]  ( + sum_{j >= 0} F[j] u[t + 1 + j] for a kernel F of the strict future )

A cyclic convolution of length n is right for lags from -(L - 1) to L - 1 once n >= 2 L - 1, so the future costs no second
transform of u: its kernel lies backwards at the end of the cycle, as in S4's published code. The adjoints are
correlations, products with conjugate spectra; spectra are computed again in the backward pass, which costs no more than
reading them from memory would, and keeps only u and K between the two.

Four ways to compute it, one answer. `reference` is the definition, a matrix of lags. `torch` (any device) transforms blocks
of channels, which on a CPU stay in cache; `compiled` (CPU) copies them between layouts in small tiles. `triton` (CUDA) leaves
only the transforms to cuFFT.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from ..backend import Operation, values_and_gradients
from ..precision import full_precision
from .compiled import compiled
from .length import fft_length
from .reference import fftconv_reference
from .torch import blocked


def fftconv(
    u: Tensor,
    K: Tensor,
    future: Tensor | None = None,
    dtype: torch.dtype | None = None,
    backend: str | None = None,
) -> Tensor:
    """Returns the convolution y above, computed in float32 or wider.

    Args:
        u: (B, H, L) input with any strides, L >= 1.
        K: (H, L) kernel; or (C, H, L), C kernels for each channel.
        future: kernel of the strict future, of the shape of K; None for a causal convolution.
        dtype: of y, which is rounded once. None is the computation's own; but half, if u is half and not on a CPU: there
            the traffic to memory is what a convolution costs.
        backend: a form of `FFTCONV`; None is the one that `src.ops.backend` chooses for the device.

    Returns:
        (B, H, L), or (B, C, H, L).

    Raises:
        ValueError: shapes that do not fit, or an unknown backend.
    """
    if u.dim() != 3 or K.shape[-2:] != u.shape[-2:] or (future is not None and future.shape != K.shape):
        raise ValueError(f"expected u (B, H, L) and K ([C,] H, L), got {tuple(u.shape)} and {tuple(K.shape)}")
    wide = torch.promote_types(torch.promote_types(u.dtype, K.dtype), torch.float32)
    if dtype is None:
        dtype = u.dtype if u.device.type != "cpu" and u.dtype.itemsize < 4 else wide
    kernel, future = (None if k is None else k.to(wide).reshape(-1, *k.shape[-2:]) for k in (K, future))
    with full_precision(u):
        y = FFTCONV.on(u.device, backend)(u, kernel, future, dtype)
    return y.squeeze(1) if K.dim() == 2 else y


def _triton(u: Tensor, K: Tensor, future: Tensor | None, dtype: torch.dtype) -> Tensor:
    from .triton import convolve

    return convolve(u, K, future, fft_length(u.shape[-1], u.device), dtype)


def _probe(form: Callable[..., Tensor], device: torch.device) -> list[Tensor]:
    """Causal with activations that arrive channels last, and two-sided with two kernels a channel; few channels, and sixteen."""
    results = []
    for C, H, L, two_sided in ((1, 5, 37, False), (2, 5, 20, True), (1, 16, 23, False)):
        generator = torch.Generator().manual_seed(0)
        draw = lambda *shape, generator=generator: torch.randn(*shape, generator=generator)
        u = draw(3, H, L) if two_sided else draw(3, L, H).transpose(1, 2)
        kernels = [draw(C, H, L) for _ in range(1 + two_sided)]
        leaves = [x.to(device).requires_grad_() for x in (u, *kernels)]
        run = lambda u, K, future=None: form(u, K, future, torch.float32)
        results += values_and_gradients(run, leaves)
    return results


FFTCONV = Operation(
    "FFT convolution",
    {"reference": fftconv_reference, "torch": blocked, "compiled": compiled, "triton": _triton},
    _probe,
)
