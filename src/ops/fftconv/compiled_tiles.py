"""Copies blocks of the FFT convolution between the two layouts in small tiles, by a compiled loop."""

import torch
from torch import Tensor

from ..jit import jit

TILE = 16  # entries of a side: one cache line of float32


def move(target: Tensor, source: Tensor) -> None:
    """Copies (B, H, L), or (B, C, H, L), between layouts, one with time last and one with channels last; the rest is left to torch."""
    if target.ndim == 4:
        for one, other in zip(target.unbind(1), source.unbind(1), strict=True):
            move(one, other)
    elif _crossed(target, source) and target.dtype == source.dtype and target.dtype in (torch.float32, torch.float64):
        _tiles(target.detach().numpy(), source.detach().resolve_neg().numpy())
    else:
        target.copy_(source)


def _crossed(x: Tensor, y: Tensor) -> bool:
    time, channels = (x.stride(-1) == 1, y.stride(-1) == 1), (x.stride(-2) == 1, y.stride(-2) == 1)
    return time[0] != time[1] and channels[0] != channels[1]


@jit
def _tiles(target, source):
    """target = source, (B, H, L) each, a tile at a time: both sides stay in the nearest cache."""
    B, H, L = target.shape
    for b in range(B):
        for t0 in range(0, L, TILE):
            for h0 in range(0, H, TILE):
                for h in range(h0, min(h0 + TILE, H)):
                    for t in range(t0, min(t0 + TILE, L)):
                        target[b, h, t] = source[b, h, t]
