"""Complex numbers in fused kernels, which know real ones only: pairs (x, y), side by side in memory as torch keeps them.

The same kernels serve the reals: COMPLEX is false, memory holds x alone and y is zero.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor


def numbers(x: Tensor) -> Tensor:
    """Views a complex tensor (...) as contiguous pairs (..., 2); returns a real one contiguous."""
    x = x.resolve_conj()
    return (torch.view_as_real(x) if x.is_complex() else x).contiguous()


@triton.jit
def _load(pointer, index, mask, COMPLEX: tl.constexpr):
    if COMPLEX:
        return tl.load(pointer + 2 * index, mask, 0.0), tl.load(pointer + 2 * index + 1, mask, 0.0)
    else:
        x = tl.load(pointer + index, mask, 0.0)
        return x, tl.zeros_like(x)


@triton.jit
def _store(pointer, index, x, y, mask, COMPLEX: tl.constexpr):
    if COMPLEX:
        tl.store(pointer + 2 * index, x, mask)
        tl.store(pointer + 2 * index + 1, y, mask)
    else:
        tl.store(pointer + index, x, mask)


@triton.jit
def _times(x, y, u, v, COMPLEX: tl.constexpr):
    """(x + i y)(u + i v)."""
    if COMPLEX:
        return x * u - y * v, x * v + y * u
    else:
        return x * u, y


@triton.jit
def _over(x, y, u, v):
    """(x + i y) / (u + i v)."""
    size = u * u + v * v
    return (x * u + y * v) / size, (y * u - x * v) / size
