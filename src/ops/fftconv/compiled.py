"""The FFT convolution on a CPU: as the form `torch`, with blocks copied between the two layouts by a compiled loop over small tiles."""

import torch
from torch import Tensor

from ..jit import jit
from .torch import blocked

TILE = 16  # entries of a side: one cache line of float32


def compiled(u: Tensor, K: Tensor, future: Tensor | None, dtype: torch.dtype) -> Tensor:
    """Returns y (B, C, H, L) in `dtype`; arguments as in `blocked`, and the same bits."""
    return blocked(u, K, future, dtype, _move)


def _move(target: Tensor, source: Tensor) -> None:
    """Copies (B, H, L), or (B, C, H, L), between layouts, one with time last and one with channels last; the rest is left to torch."""
    if target.ndim == 4:
        for one, other in zip(target.unbind(1), source.unbind(1), strict=True):
            _move(one, other)
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
