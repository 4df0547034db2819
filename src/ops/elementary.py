"""Elementary functions that vectorise inside compiled loops, in float32 and float64: a call of libm would not.

Each reduces its argument to a short interval and evaluates one polynomial there,

    2^y = 2^k 2^f,               k = round(y),    |f| <= 1/2,
    exp(i y) = (-1)^k exp(i r),                   k = round(y / pi),     r = y - k pi,
    e^x = 2^k e^r,                                k = round(x / log 2),  r = x - k log 2,
    log(1 + e) = 2 atanh(s) = 2 s + 2 s (s^2/3 + s^4/5 + ...),   s = e / (2 + e) <= 1/3 for 0 <= e <= 1.

The polynomials interpolate at Chebyshev points, which comes within a small factor of the best possible error; their
degrees put that error below the rounding of each type. They are computed once, here, and frozen into the machine
code.

In a recurrence an error that always has one sign grows with the length, most of all an error of the angle by which a
state turns at each step. So `exp_i` and `exp_unit`, which angles and steps come from, scale by no rounded constant: they
subtract k pi or k log 2 in parts whose products with k are exact, and their leading coefficients are 1.
"""

import math
from collections.abc import Callable
from fractions import Fraction

import numpy as np
from numba import types
from numba.extending import overload

from .jit import INLINED, inlined, inlined_in_order

LOG2_E = 1.4426950408889634
LN_2 = 0.6931471805599453
_PI, _LN_2 = (
    Fraction(digits) for digits in ("3.1415926535897932384626433832795029", "0.69314718055994530941723212145817657")
)


def coefficients(
    function: Callable[[np.ndarray], np.ndarray], low: float, high: float, degree: int
) -> tuple[float, ...]:
    """The interpolating polynomial at Chebyshev points of [low, high], highest power first."""
    series = np.polynomial.Chebyshev.interpolate(function, degree, [low, high])
    return tuple(series.convert(kind=np.polynomial.Polynomial).coef[::-1].tolist())


def _two_to(f: np.ndarray) -> np.ndarray:
    """(2^f - 1) / f: 1 + f (...) is exactly 1 at f = 0, as a state that must not decay needs."""
    f = np.where(f == 0, 1e-30, f)
    return np.expm1(f * LN_2) / f


def _exponential(r: np.ndarray) -> np.ndarray:
    """(e^r - 1 - r) / r^2: the series 1/2 + r/6 + ..., to float64 for |r| up to log(2)/2."""
    return np.polynomial.Polynomial([1 / math.factorial(j + 2) for j in range(16)])(r)


def _atanh(g: np.ndarray) -> np.ndarray:
    """2 (atanh(s) / s - 1) / s^2 at g = s^2: the series 2/3 + 2 g/5 + ..., to float64 for g up to 1/9."""
    return np.polynomial.Polynomial([2 / (2 * j + 3) for j in range(17)])(g)


def _alternating(start: int) -> Callable[[np.ndarray], np.ndarray]:
    """The series sum_j (-g)^j / (start + 2 j)!, to float64 for g up to (pi/2)^2."""
    return np.polynomial.Polynomial([(-1) ** j / math.factorial(start + 2 * j) for j in range(14)])


def _in_parts(constant: Fraction, count: int, bits: int) -> list[float]:
    """Numbers that add up to the constant; all but the last have at most `bits` bits: a small integer times one is exact."""
    parts = []
    for _ in range(count - 1):
        unit = Fraction(2) ** (math.frexp(constant)[1] - bits)
        parts.append(constant // unit * unit)
        constant -= parts[-1]
    return [float(part) for part in (*parts, constant)]


def _polynomial(
    real: type, function: Callable[[np.ndarray], np.ndarray], low: float, high: float, degree: int
) -> Callable:
    first, *others = coefficients(function, low, high, degree)
    others = tuple(others)

    @inlined
    def polynomial(x):
        p = real(first)
        for coefficient in others:
            p = p * x + real(coefficient)
        return p

    return polynomial


def _functions(
    real: type, integer: type, mantissa: int, exponent: int, degrees: tuple[int, int, int]
) -> tuple[Callable, ...]:
    """Builds (exp2, exp_i, exp_unit, log1p_unit) of a type from its layout and its polynomials' degrees."""
    two_to = _polynomial(real, _two_to, -0.5, 0.5, degrees[0])
    sine, cosine = (_polynomial(real, _alternating(n), 0, (math.pi / 2) ** 2, degrees[1] - 1) for n in (3, 4))
    exponential = _polynomial(real, _exponential, -LN_2 / 2, LN_2 / 2, degrees[0] - 1)
    pi_high, pi_middle, pi_low = (real(part) for part in _in_parts(_PI, 3, mantissa // 2))
    ln_2_high, ln_2_low = (real(part) for part in _in_parts(_LN_2, 2, 2 * mantissa // 3))
    logarithm = _polynomial(real, _atanh, 0, 1 / 9, degrees[2])

    @inlined
    def exp2(y):
        # at these bounds adding k to the exponent of 1.0 gives exactly 0 and infinity; nan passes both comparisons
        y = real(-exponent) if y < real(-exponent) else y
        y = real(exponent + 1) if y > real(exponent + 1) else y
        k = np.rint(y)
        f = y - k
        bits = real(real(1) + f * two_to(f)).view(integer)
        return integer(bits + (integer(k) << mantissa)).view(real)

    @inlined_in_order
    def exp_i(y):
        k = np.rint(y * real(1 / math.pi))
        half = k * real(0.5)
        sign = real(1) - real(4) * (half - np.floor(half))
        r = ((y - k * pi_high) - k * pi_middle) - k * pi_low
        g = r * r
        return sign * (real(1) + g * (g * cosine(g) - real(0.5))), sign * (r - r * (g * sine(g)))

    @inlined_in_order
    def exp_unit(x):
        k = np.rint(x * real(LOG2_E))
        r = (x - k * ln_2_high) - k * ln_2_low
        bits = real(real(1) + (r + r * r * exponential(r))).view(integer)
        y = integer(bits + (integer(k) << mantissa)).view(real)
        return real(0) if x < real((1 - exponent) * LN_2) else y

    @inlined_in_order
    def log1p_unit(e):
        s = e / (real(2) + e)
        g = s * s
        return e - s * (e - g * logarithm(g))

    return exp2, exp_i, exp_unit, log1p_unit


_BY_TYPE = {
    types.float32: _functions(np.float32, np.int32, 23, 127, (5, 4, 4)),
    types.float64: _functions(np.float64, np.int64, 52, 1023, (11, 8, 11)),
}


def exp2(y: float) -> float:
    """2^y in the type of y; 0 and infinity where that under- and overflows, nan for nan. Only for compiled code."""
    raise NotImplementedError("compiled code only")


def exp_i(y: float) -> tuple[float, float]:
    """(cos(y), sin(y)) in the type of y, for |y| up to some 10^4 in float32. Only for compiled code."""
    raise NotImplementedError("compiled code only")


def exp_unit(x: float) -> float:
    """e^x for x <= 0, relatively exact, in the type of x; 0 where that is no normal number. Only for compiled code."""
    raise NotImplementedError("compiled code only")


def log1p_unit(e: float) -> float:
    """log(1 + e) for 0 <= e <= 1, relatively exact for small e too, in the type of e. Only for compiled code."""
    raise NotImplementedError("compiled code only")


@overload(exp2, jit_options=INLINED)
def _exp2(y):
    chosen = _BY_TYPE[y][0]
    return lambda y: chosen(y)


@overload(exp_i, jit_options=INLINED)
def _exp_i(y):
    chosen = _BY_TYPE[y][1]
    return lambda y: chosen(y)


@overload(exp_unit, jit_options=INLINED)
def _exp_unit(x):
    chosen = _BY_TYPE[x][2]
    return lambda x: chosen(x)


@overload(log1p_unit, jit_options=INLINED)
def _log1p_unit(e):
    chosen = _BY_TYPE[e][3]
    return lambda e: chosen(e)
