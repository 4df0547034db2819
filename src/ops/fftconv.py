"""Convolution of every channel by the FFT, causal or two-sided, in blocks of channels that stay in cache.

    y[t] = sum_{j >= 0} K[j] u[t - j]  ( + sum_{j >= 0} F[j] u[t + 1 + j] for a kernel F of the strict future )

A cyclic convolution of length n is right for lags from -(L - 1) to L - 1 once n >= 2 L - 1, so the future costs no second
transform of u: its kernel lies backwards at the end of the cycle, as in S4's published code. The adjoints are
correlations, products with conjugate spectra; spectra are computed again in the backward pass, which costs no more than
reading them from memory would, and keeps only u and K between the two.
"""

import torch
from scipy.fft import next_fast_len
from torch import Tensor
from torch.nn.functional import pad

from src.ops.blocks import channel_blocks
from src.ops.precision import at_least_float32, full_precision

BLOCK_BYTES = (
    1 << 21
)  # of one padded block of inputs on the CPU: measured best from 2^20 to 2^21 with 1 MiB of L2 cache


def fftconv(u: Tensor, K: Tensor, future: Tensor | None = None) -> Tensor:
    """Returns the convolution y above, in float32 or wider.

    Args:
        u: (B, H, L) input.
        K: (H, L) kernel; or (C, H, L), C kernels for each channel.
        future: kernel of the strict future, of the shape of K; None for a causal convolution.

    Returns:
        (B, H, L), or (B, C, H, L).
    """
    L = u.shape[-1]
    if u.dim() != 3 or K.shape[-2:] != u.shape[-2:] or (future is not None and future.shape != K.shape):
        raise ValueError(f"expected u (B, H, L) and K ([C,] H, L), got {tuple(u.shape)} and {tuple(K.shape)}")
    u, K = at_least_float32(u), at_least_float32(K)
    n = next_fast_len(2 * L, real=True)
    if future is not None:
        K = torch.cat([pad(K, (0, n - 2 * L)), at_least_float32(future).flip(-1)], -1)
    with full_precision(u):
        y = _FFTConv.apply(u, K.reshape(-1, *K.shape[-2:]), n)
    return y.squeeze(1) if K.dim() == 2 else y


class _FFTConv(torch.autograd.Function):
    """u (B, H, L) and K (C, H, at most n) to the first L steps of their cyclic convolution of length n, (B, C, H, L)."""

    @staticmethod
    def forward(ctx, u: Tensor, K: Tensor, n: int) -> Tensor:
        ctx.save_for_backward(u, K)
        ctx.n = n
        (B, H, L), C = u.shape, len(K)
        y = u.new_empty(B, C, H, L)
        for rows in _blocks(u, n):
            u_f, K_f = torch.fft.rfft(u[:, rows], n=n), torch.fft.rfft(K[:, rows], n=n)
            y[:, :, rows] = torch.fft.irfft(u_f.unsqueeze(1) * K_f, n=n)[..., :L]
        return y

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor, Tensor, None]:
        u, K = ctx.saved_tensors
        n = ctx.n
        grad_u, grad_K = torch.empty_like(u), torch.empty_like(K)
        for rows in _blocks(u, n):
            u_f = torch.fft.rfft(u[:, rows], n=n).conj_physical_().unsqueeze(1)
            K_f = torch.fft.rfft(K[:, rows], n=n).conj_physical_().unsqueeze(0)
            g_f = torch.fft.rfft(grad[:, :, rows], n=n)
            grad_K[:, rows] = torch.fft.irfft(_sum_of_products(u_f, g_f, 0), n=n)[..., : K.shape[-1]]
            grad_u[:, rows] = torch.fft.irfft(_sum_of_products(g_f, K_f, 1), n=n)[..., : u.shape[-1]]
        return grad_u, grad_K, None


def _sum_of_products(x: Tensor, y: Tensor, axis: int) -> Tensor:
    """Returns (x y).sum(axis) with one temporary of the size of the result; x and y may broadcast along other axes."""
    total = x.select(axis, 0) * y.select(axis, 0)
    for i in range(1, x.shape[axis]):
        total.addcmul_(x.select(axis, i), y.select(axis, i))
    return total


def _blocks(u: Tensor, n: int) -> list[slice]:
    return channel_blocks(u.shape[1], len(u) * n * u.element_size(), BLOCK_BYTES, u.device)
