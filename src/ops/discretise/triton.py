"""Fused discretisation of diagonal systems: one kernel forward, one backward, in float64.

A program is one channel, its N states side by side. With z = dt Lambda, q = z / 2 and phi(z) = (exp(z) - 1) / z,

| rule       | zeta = log(Abar)         | gain         | dzeta/dz    | dgain/d(dt)   | dgain/dLambda / dt^2 |
|------------|--------------------------|--------------|-------------|---------------|----------------------|
| `zoh`      | z                        | dt phi(z)    | 1           | exp(z)        | phi'(z)              |
| `bilinear` | log((1 + q) / (1 - q))   | dt / (1 - q) | 1 / (1-q^2) | 1 / (1 - q)^2 | 1 / (2 (1 - q)^2)    |

phi and its derivative are power series for |z| < 1/2, where their quotients would cancel. Complex numbers are pairs; the reals are the
same kernels with every y = 0.
"""

import math

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.autograd.function import once_differentiable

from ..triton.elementary import _atan2, _cis_of_turns, _log1p, _turns
from ..triton.launch import launch
from ..triton.pairs import _load, _over, _store, _times, numbers

_DEGREE = tl.constexpr(14)  # (1/2)^15 / 16! is below the rounding of 1
_PHI = tl.constexpr(tuple(1 / math.factorial(k + 1) for k in range(14, -1, -1)))
_PHI_SLOPE = tl.constexpr(tuple((k + 1) / math.factorial(k + 2) for k in range(14, -1, -1)))


@triton.jit
def _series(x, y, coefficients: tl.constexpr, COMPLEX: tl.constexpr):
    """A polynomial with real coefficients at x + i y, highest power first."""
    p, q = x * coefficients[0] + coefficients[1], y * coefficients[0]
    for i in tl.static_range(2, _DEGREE + 1):
        p, q = _times(p, q, x, y, COMPLEX)
        p += coefficients[i]
    return p, q


@triton.jit
def _exp(x, y):
    size = tl.exp(x)
    c, s = _cis_of_turns(_turns(y), tl.float64)
    return size * c, size * s


@triton.jit
def _phi(x, y, ex, ey, COMPLEX: tl.constexpr):
    """phi(z) and whether |z| < 1/2, given exp(z)."""
    small = x * x + y * y < 0.25
    sx, sy = _series(x, y, _PHI, COMPLEX)
    px, py = _over(ex - 1.0, ey, x, y)
    return tl.where(small, sx, px), tl.where(small, sy, py), small


@triton.jit
def _phi_slope(x, y, ex, ey, COMPLEX: tl.constexpr):
    """phi'(z) = (exp(z) - phi(z)) / z, given exp(z)."""
    px, py, small = _phi(x, y, ex, ey, COMPLEX)
    sx, sy = _series(x, y, _PHI_SLOPE, COMPLEX)
    px, py = _over(ex - px, ey - py, x, y)
    return tl.where(small, sx, px), tl.where(small, sy, py)


@triton.jit
def _log_ratio(x, y, COMPLEX: tl.constexpr):
    """log((1 + q) / (1 - q)) of q = x + i y; over the reals nan outside |q| < 1, where it is not real."""
    if COMPLEX:
        far = (1.0 - x) * (1.0 - x) + y * y
        return 0.5 * _log1p(4.0 * x / far), _atan2(2.0 * y, 1.0 - (x * x + y * y))
    else:
        return _log1p(2.0 * x / (1.0 - x)), y


@triton.jit
def values(Lambda, dt, zeta, gain, N, COMPLEX: tl.constexpr, BILINEAR: tl.constexpr, BLOCK: tl.constexpr):
    """zeta and gain (H, N) of Lambda (H, N) and dt (H,)."""
    h = tl.program_id(0).to(tl.int64)
    n = tl.arange(0, BLOCK)
    index, mask = h * N + n, n < N
    step = tl.load(dt + h)
    x, y = _load(Lambda, index, mask, COMPLEX)
    x, y = step * x, step * y
    if BILINEAR:
        zx, zy = _log_ratio(0.5 * x, 0.5 * y, COMPLEX)
        gx, gy = _over(1.0, 0.0, 1.0 - 0.5 * x, -0.5 * y)
    else:
        zx, zy = x, y
        ex, ey = _exp(x, y)
        gx, gy, _ = _phi(x, y, ex, ey, COMPLEX)
    _store(zeta, index, zx, zy, mask, COMPLEX)
    _store(gain, index, step * gx, step * gy, mask, COMPLEX)


@triton.jit
def gradients(
    Lambda, dt, dzeta, dgain, dLambda, ddt, N, COMPLEX: tl.constexpr, BILINEAR: tl.constexpr, BLOCK: tl.constexpr
):  # fmt: skip
    """dLambda (H, N) and ddt (H,) from the gradients of zeta and gain; the head's last three columns are a, e and f."""
    h = tl.program_id(0).to(tl.int64)
    n = tl.arange(0, BLOCK)
    index, mask = h * N + n, n < N
    step = tl.load(dt + h)
    lx, ly = _load(Lambda, index, mask, COMPLEX)
    x, y = step * lx, step * ly
    if BILINEAR:
        qx, qy = _times(0.5 * x, 0.5 * y, 0.5 * x, 0.5 * y, COMPLEX)
        ax, ay = _over(1.0, 0.0, 1.0 - qx, -qy)
        ex, ey = _over(1.0, 0.0, 1.0 - x + qx, qy - y)
        fx, fy = 0.5 * ex, 0.5 * ey
    else:
        ax, ay = tl.full(x.shape, 1.0, tl.float64), tl.zeros_like(x)
        ex, ey = _exp(x, y)
        fx, fy = _phi_slope(x, y, ex, ey, COMPLEX)
    zx, zy = _load(dzeta, index, mask, COMPLEX)
    zx, zy = _times(zx, zy, ax, -ay, COMPLEX)
    gx, gy = _load(dgain, index, mask, COMPLEX)
    fx, fy = _times(gx, gy, step * fx, -step * fy, COMPLEX)
    _store(dLambda, index, step * (zx + fx), step * (zy + fy), mask, COMPLEX)
    terms = (zx * lx + zy * ly) + (gx * ex + gy * ey)
    tl.store(ddt + h, tl.sum(tl.where(mask, terms, 0.0), 0))


def _launch(kernel, disc: str, Lambda: Tensor, *tensors: Tensor) -> None:
    """Starts a kernel, a program a channel."""
    H, N = Lambda.shape
    block = triton.next_power_of_2(N)
    options = {"BILINEAR": disc == "bilinear", "BLOCK": block, "num_warps": min(max(block // 32, 1), 8)}
    launch(kernel, (H,), *map(numbers, (Lambda, *tensors)), N, COMPLEX=Lambda.is_complex(), **options)


class _Discretise(torch.autograd.Function):
    @staticmethod
    def forward(ctx, Lambda: Tensor, dt: Tensor, disc: str) -> tuple[Tensor, Tensor]:
        ctx.save_for_backward(Lambda, dt)
        ctx.disc = disc
        zeta, gain = (torch.empty_like(Lambda, memory_format=torch.contiguous_format) for _ in range(2))
        _launch(values, disc, Lambda, dt, zeta, gain)
        return zeta, gain

    @staticmethod
    @once_differentiable
    def backward(ctx, dzeta: Tensor, dgain: Tensor) -> tuple[Tensor, Tensor, None]:
        Lambda, dt = ctx.saved_tensors
        dLambda, ddt = torch.empty_like(Lambda, memory_format=torch.contiguous_format), torch.empty_like(dt)
        _launch(gradients, ctx.disc, Lambda, dt, dzeta, dgain, dLambda, ddt)
        return dLambda, ddt, None


def discretise(Lambda: Tensor, dt: Tensor, disc: str) -> tuple[Tensor, Tensor]:
    """Returns zeta and gain (H, N) of Lambda (H, N), complex128 or float64, and dt (H,), float64."""
    return _Discretise.apply(Lambda, dt, disc)
