"""Elementary functions for fused kernels, without the slow paths of the library ones: those need memory that a thread has not.

An angle is a 64-bit fraction of a turn, int64 in units of 2^-64 turns. Integer products with a step number t wrap around as angles do,
so the angle of exp(i y t) is exact to t 2^-62 turns at any length, however many radians y has. Cosine and sine then need no reduction:
with v = 2 turns = k + f, |f| <= 1/2, exp(i pi v) = (-1)^k exp(i pi f), and the polynomials are those of `src.ops.elementary`.
"""

import math

import triton
import triton.language as tl

from src.ops.elementary import coefficients, cosine_ratio, sine_ratio

_SINE_32 = tl.constexpr(coefficients(sine_ratio, 0, 0.25, 4))
_COSINE_32 = tl.constexpr(coefficients(cosine_ratio, 0, 0.25, 4))
_SINE_64 = tl.constexpr(coefficients(sine_ratio, 0, 0.25, 8))
_COSINE_64 = tl.constexpr(coefficients(cosine_ratio, 0, 0.25, 8))

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
def _cis(turns, dtype: tl.constexpr):
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
