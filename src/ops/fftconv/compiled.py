"""The FFT convolution on a CPU: transforms of sixteen channels side by side, which read and write channels-last memory as it lies.

Numbers of channels that sixteen does not divide go the way of the form `torch`, with blocks copied between layouts in small tiles.
Spectra are computed again in the backward pass: 5 of its 23 transforms at B = 8, against 2 numbers kept for each input.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import pad

from ..lanes import WIDTH
from .compiled_lanes import KERNEL, SUMS, convolve, convolve_backward
from .compiled_tiles import move
from .compiled_transform import ROW
from .plan import plan, points
from .torch import blocked


def compiled(u: Tensor, K: Tensor, future: Tensor | None, dtype: torch.dtype) -> Tensor:
    """Returns y (B, C, H, L) in `dtype`, in memory with channels last; arguments as in `blocked`."""
    if u.shape[1] % WIDTH or not len(u):
        return blocked(u, K, future, dtype, move)
    m, L = points(u.shape[-1]), u.shape[-1]
    if future is not None:
        K = torch.cat([pad(K, (0, 2 * m - 2 * L)), future.flip(-1)], -1)
    y = _FFTConv.apply(u.transpose(1, 2).to(K.dtype), K.transpose(1, 2), m)
    return y.permute(0, 2, 3, 1).to(dtype)


class _FFTConv(torch.autograd.Function):
    """u (B, L, H) and K (C, at most 2 m, H) to y (B, L, C, H)."""

    @staticmethod
    def forward(ctx, u: Tensor, K: Tensor, m: int) -> Tensor:
        u, K = (x.resolve_neg().contiguous() for x in (u, K))
        ctx.save_for_backward(u, K)
        ctx.m = m
        y = u.new_empty(*u.shape[:2], len(K), u.shape[2])
        _run(convolve, m, 2, (KERNEL,), u, K, y)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx, g: Tensor) -> tuple[Tensor, Tensor, None]:
        u, K = ctx.saved_tensors
        du, dK = torch.empty_like(u), torch.empty_like(K)
        _run(convolve_backward, ctx.m, 3, (KERNEL, SUMS), u, K, g.resolve_neg().contiguous(), du, dK)
        return du, dK, None


def _run(loop: Callable[..., None], m: int, buffers: int, widths: tuple[int, ...], *tensors: Tensor) -> None:
    """Runs a loop over all blocks of channels, a part a thread of torch's: a block has one writer, whatever their number."""
    u, K = tensors[:2]
    blocks = u.shape[2] // WIDTH
    threads = min(torch.get_num_threads(), blocks)
    arrays = [x.detach().numpy() for x in tensors]
    made = plan(m, str(u.dtype).removeprefix("torch."))

    def part(bounds: tuple[int, int]) -> None:
        work = [np.empty((m, ROW), arrays[0].dtype) for _ in range(buffers - (len(K) == 1))]
        work += work[-1:] if len(K) == 1 else []  # what a single kernel gives takes the place of what it is made from
        tables = [np.empty((len(K), len(made.pairs), width), arrays[0].dtype) for width in widths]
        loop(*bounds, *work, *tables, made, *arrays)

    if threads == 1:
        return part((0, blocks))
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(part, pairwise(blocks * i // threads for i in range(threads + 1))))
