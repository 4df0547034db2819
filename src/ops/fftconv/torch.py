"""The FFT convolution in plain torch, for any device, in blocks of channels that stay in cache on a CPU."""

import torch
from torch import Tensor
from torch.nn.functional import pad

from ..blocks import channel_blocks
from .length import fft_length

# of one padded block of inputs on the CPU: measured best from 2^20 to 2^21 with 1 MiB of L2 cache
BLOCK_BYTES = 1 << 21


def blocked(u: Tensor, K: Tensor, future: Tensor | None, dtype: torch.dtype) -> Tensor:
    """Returns y (B, C, H, L) in `dtype`; u (B, H, L), K and future (C, H, L) in the precision of the computation."""
    L = u.shape[-1]
    n = fft_length(L, u.device)
    if future is not None:
        K = torch.cat([pad(K, (0, n - 2 * L)), future.flip(-1)], -1)
    return _FFTConv.apply(u.to(K.dtype).contiguous(), K, n, dtype)


class _FFTConv(torch.autograd.Function):
    """u (B, H, L) and K (C, H, at most n) to the first L steps of their cyclic convolution of length n, (B, C, H, L)."""

    @staticmethod
    def forward(ctx, u: Tensor, K: Tensor, n: int, dtype: torch.dtype) -> Tensor:
        ctx.save_for_backward(u, K)
        ctx.n = n
        (B, H, L), C = u.shape, len(K)
        y = u.new_empty(B, C, H, L, dtype=dtype)
        for rows in _blocks(u, n):
            u_f, K_f = torch.fft.rfft(u[:, rows], n=n), torch.fft.rfft(K[:, rows], n=n)
            y[:, :, rows] = torch.fft.irfft(u_f.unsqueeze(1) * K_f, n=n)[..., :L]
        return y

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor, Tensor, None, None]:
        u, K = ctx.saved_tensors
        n = ctx.n
        grad_u, grad_K = torch.empty_like(u), torch.empty_like(K)
        for rows in _blocks(u, n):
            u_f = torch.fft.rfft(u[:, rows], n=n).conj_physical_().unsqueeze(1)
            K_f = torch.fft.rfft(K[:, rows], n=n).conj_physical_().unsqueeze(0)
            g_f = torch.fft.rfft(grad[:, :, rows].to(u.dtype), n=n)
            grad_K[:, rows] = torch.fft.irfft(_sum_of_products(u_f, g_f, 0), n=n)[..., : K.shape[-1]]
            grad_u[:, rows] = torch.fft.irfft(_sum_of_products(g_f, K_f, 1), n=n)[..., : u.shape[-1]]
        return grad_u, grad_K, None, None


def _sum_of_products(x: Tensor, y: Tensor, axis: int) -> Tensor:
    """Returns (x y).sum(axis) with one temporary of the size of the result; x and y may broadcast along other axes."""
    total = x.select(axis, 0) * y.select(axis, 0)
    for i in range(1, x.shape[axis]):
        total.addcmul_(x.select(axis, i), y.select(axis, i))
    return total


def _blocks(u: Tensor, n: int) -> list[slice]:
    return channel_blocks(u.shape[1], len(u) * n * u.element_size(), BLOCK_BYTES, u.device)
