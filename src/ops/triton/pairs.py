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
def _load(x, at, inside, COMPLEX: tl.constexpr):
    """Real and imaginary parts of entries `at` of x, a load each; zero where not `inside`."""
    if COMPLEX:
        return tl.load(x + 2 * at, inside, 0.0), tl.load(x + 2 * at + 1, inside, 0.0)
    else:
        re = tl.load(x + at, inside, 0.0)
        return re, tl.zeros_like(re)


@triton.jit
def _store(x, at, re, im, inside, COMPLEX: tl.constexpr):
    """Writes entries `at` of x."""
    if COMPLEX:
        tl.store(x + 2 * at, re, inside)
        tl.store(x + 2 * at + 1, im, inside)
    else:
        tl.store(x + at, re, inside)


@triton.jit
def _load_wide(x, at, inside, COMPLEX: tl.constexpr):
    """`_load`, both parts at once: half the accesses where memory is what bounds a kernel, more registers where it is not."""
    if COMPLEX:
        pair = tl.expand_dims(2 * at, -1) + tl.arange(0, 2)
        return tl.split(tl.load(x + pair, tl.expand_dims(inside, -1), 0.0))
    else:
        return _load(x, at, inside, False)


@triton.jit
def _store_wide(x, at, re, im, inside, COMPLEX: tl.constexpr):
    """`_store`, both parts at once."""
    if COMPLEX:
        pair = tl.expand_dims(2 * at, -1) + tl.arange(0, 2)
        tl.store(x + pair, tl.join(re, im), tl.expand_dims(inside, -1))
    else:
        tl.store(x + at, re, inside)


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
