"""The FFT convolution in plain torch, for any device, in blocks of channels that stay in cache on a CPU.

Sequences are read and written with their own strides: a block is copied once, into its padded place and back, whether time or channels
come last in memory. A transpose before or after would be one more pass over everything. How it is copied is what the forms differ in.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import pad

from ..blocks import channel_blocks
from .length import fft_length

# of one padded block of inputs on the CPU: measured best from 2^20 to 2^21 with 1 MiB of L2 cache
BLOCK_BYTES = 1 << 21
LINE_BYTES = 64  # of a cache line: with channels last, a narrower block would load each line several times

Move = Callable[[Tensor, Tensor], object]  # copies the second argument into the first, of one shape and of any strides


def blocked(u: Tensor, K: Tensor, future: Tensor | None, dtype: torch.dtype, move: Move = Tensor.copy_) -> Tensor:
    """Returns y (B, C, H, L) in `dtype`, in memory with time last if u's is, else with channels last.

    Args:
        u: (B, H, L), any dtype and strides.
        K, future: (C, H, L) in the precision of the computation.
        move: copies blocks.
    """
    L = u.shape[-1]
    n = fft_length(L, u.device)
    if future is not None:
        K = torch.cat([pad(K, (0, n - 2 * L)), future.flip(-1)], -1)
    return _FFTConv.apply(u, K, n, dtype, move)


class _FFTConv(torch.autograd.Function):
    """u (B, H, L) and K (C, H, at most n) to the first L steps of their cyclic convolution of length n, (B, C, H, L)."""

    @staticmethod
    def forward(ctx, u: Tensor, K: Tensor, n: int, dtype: torch.dtype, move: Move) -> Tensor:
        ctx.save_for_backward(u, K)
        ctx.n, ctx.move = n, move
        y, spectra = _output(u, len(K), dtype), _Spectra(n, K.dtype, move)
        for rows in _blocks(u, K, n):
            u_f, K_f = spectra.of(u[:, rows]), torch.fft.rfft(K[:, rows], n=n)
            move(y[:, :, rows], torch.fft.irfft(u_f.unsqueeze(1) * K_f, n=n)[..., : u.shape[-1]])
        return y

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor, Tensor, None, None, None]:
        u, K = ctx.saved_tensors
        n, move = ctx.n, ctx.move
        grad_u, grad_K = torch.empty_like(u), torch.empty_like(K)
        of_u, of_grad = _Spectra(n, K.dtype, move), _Spectra(n, K.dtype, move)
        for rows in _blocks(u, K, n):
            u_f = of_u.of(u[:, rows]).conj_physical_().unsqueeze(1)
            K_f = torch.fft.rfft(K[:, rows], n=n).conj_physical_().unsqueeze(0)
            g_f = of_grad.of(grad[:, :, rows])
            grad_K[:, rows] = torch.fft.irfft(_sum_of_products(u_f, g_f, 0), n=n)[..., : K.shape[-1]]
            move(grad_u[:, rows], torch.fft.irfft(_sum_of_products(g_f, K_f, 1), n=n)[..., : u.shape[-1]])
        return grad_u, grad_K, None, None, None


class _Spectra:
    """Transforms of blocks of one shape after the other, all padded in one place whose zeros stay."""

    def __init__(self, n: int, dtype: torch.dtype, move: Move) -> None:
        self.n, self.dtype, self.move, self.padded = n, dtype, move, None

    def of(self, x: Tensor) -> Tensor:
        """Returns the spectra (..., n // 2 + 1) of x (..., L)."""
        shape = (*x.shape[:-1], self.n)
        if self.padded is None or self.padded.shape != shape:
            self.padded = x.new_zeros(shape, dtype=self.dtype)
        self.move(self.padded[..., : x.shape[-1]], x)
        return torch.fft.rfft(self.padded)


def _output(u: Tensor, C: int, dtype: torch.dtype) -> Tensor:
    """Returns an empty (B, C, H, L) that lies in memory as u (B, H, L) does; channels last is what the next layer reads."""
    B, H, L = u.shape
    if u.stride(2) == 1:
        return u.new_empty(B, C, H, L, dtype=dtype)
    return u.new_empty(B, L, C, H, dtype=dtype).permute(0, 2, 3, 1)


def _sum_of_products(x: Tensor, y: Tensor, axis: int) -> Tensor:
    """Returns (x y).sum(axis) with one temporary of the size of the result; x and y may broadcast along other axes."""
    total = x.select(axis, 0) * y.select(axis, 0)
    for i in range(1, x.shape[axis]):
        total.addcmul_(x.select(axis, i), y.select(axis, i))
    return total


def _blocks(u: Tensor, K: Tensor, n: int) -> list[slice]:
    channel = len(u) * n * K.element_size()
    narrowest = 1 if u.stride(2) == 1 else LINE_BYTES // u.element_size()
    return channel_blocks(u.shape[1], channel, max(BLOCK_BYTES, narrowest * channel), u.device)
