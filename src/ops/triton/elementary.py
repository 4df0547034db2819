"""Elementary functions for fused kernels, without the slow paths of the library ones: those need memory that a thread has not.

An angle is a 64-bit fraction of a turn, int64 in units of 2^-64 turns. Integer products with a step number t wrap around as angles do,
so the angle of exp(i y t) is exact to t 2^-62 turns at any length, however many radians y has. Cosine and sine then need no reduction:
with v = 2 turns = k + f, |f| <= 1/2, exp(i pi v) = (-1)^k exp(i pi f), and what is left are polynomials at Chebyshev points.

The arc tangent folds its argument into |s| <= tan(pi / 8), from x to 1/x and from there by pi / 4.
"""

import math

import numpy as np
import triton
import triton.language as tl

from ..elementary import coefficients


def sine_ratio(g: np.ndarray) -> np.ndarray:
    """sin(pi f) / f at g = f^2."""
    return math.pi * np.sinc(np.sqrt(g))


def cosine_ratio(g: np.ndarray) -> np.ndarray:
    """(cos(pi f) - 1) / f^2 at g = f^2."""
    return -2 * np.sin(math.pi / 2 * np.sqrt(g)) ** 2 / g


_SINE_32 = tl.constexpr(coefficients(sine_ratio, 0, 0.25, 4))
_COSINE_32 = tl.constexpr(coefficients(cosine_ratio, 0, 0.25, 4))
_SINE_64 = tl.constexpr(coefficients(sine_ratio, 0, 0.25, 8))
_COSINE_64 = tl.constexpr(coefficients(cosine_ratio, 0, 0.25, 8))
# the series, to |s| = tan(pi / 8)
_ARCTANGENT_64 = tl.constexpr(tuple((-1) ** k / (2 * k + 1) for k in range(20, -1, -1)))
_EIGHTH = tl.constexpr(math.tan(math.pi / 8))

# 2 pi in three parts; up to k = 2^23, k times the first two is exact
_TWO_PI_HIGH = tl.constexpr(math.ldexp(round(math.ldexp(math.tau, 27)), -27))
_TWO_PI_MIDDLE = tl.constexpr(math.tau - math.ldexp(round(math.ldexp(math.tau, 27)), -27))
_TWO_PI_LOW = tl.constexpr(2.4492935982947064e-16)
_PER_RADIAN = tl.constexpr(1 / math.tau)


@triton.jit
def _polynomial(x, coefficients: tl.constexpr, degree: tl.constexpr):
    """Horner's rule in the type of x, highest power first."""
    p = x * coefficients[0] + coefficients[1]
    for i in tl.static_range(2, degree + 1):
        p = p * x + coefficients[i]
    return p


@triton.jit
def _turns(y):
    """The angle of exp(i y), y float64 in radians, as a 64-bit fraction of a turn."""
    k = tl.floor(y * _PER_RADIAN + 0.5)
    rest = ((y - k * _TWO_PI_HIGH) - k * _TWO_PI_MIDDLE) - k * _TWO_PI_LOW
    return (rest * _PER_RADIAN * 4611686018427387904.0).to(tl.int64) << 2  # 2^62: half a turn still fits


@triton.jit
def _cis_of_turns(turns, dtype: tl.constexpr):
    """Cosine and sine, in `dtype`, of a 64-bit fraction of a turn."""
    half = turns << 1
    sign = tl.where((turns ^ half) < 0, -1.0, 1.0).to(dtype)
    if dtype == tl.float64:
        f = half.to(tl.float64) * 5.421010862427522e-20  # 2^-64
        g = f * f
        c, s = 1.0 + g * _polynomial(g, _COSINE_64, 8), f * _polynomial(g, _SINE_64, 8)
    else:
        f = (half >> 32).to(tl.int32).to(tl.float32) * 2.3283064365386963e-10  # 2^-32
        g = f * f
        c, s = 1.0 + g * _polynomial(g, _COSINE_32, 4), f * _polynomial(g, _SINE_32, 4)
    return sign * c, sign * s


@triton.jit
def _atan2(y, x):
    """The angle of x + i y in radians, float64, in [-pi, pi]."""
    ax, ay = tl.abs(x), tl.abs(y)
    steep = ay > ax
    small, large = tl.where(steep, ax, ay), tl.where(steep, ay, ax)
    folded = small > large * _EIGHTH
    s = tl.where(folded, small - large, small) / tl.where(folded, small + large, large)
    angle = s * _polynomial(s * s, _ARCTANGENT_64, 20)
    angle = tl.where(folded, angle + 0.7853981633974483, angle)
    angle = tl.where(steep, 1.5707963267948966 - angle, angle)
    angle = tl.where(x < 0, 3.141592653589793 - angle, angle)
    return tl.where(y < 0, -angle, angle)


@triton.jit
def _log1p(e):
    """log(1 + e) in the type of e, relatively exact for small e too: the rounding of 1 + e divides out (Kahan)."""
    u = 1.0 + e
    return tl.where(u == 1.0, e, tl.log(u) * (e / (u - 1.0)))
