"""Elementary functions that vectorise inside compiled loops, in float32 and float64: a call of libm would not.

Each reduces its argument to a short interval and evaluates one polynomial there,

    2^y = 2^k 2^f,               k = round(y),    |f| <= 1/2,
    exp(i pi v) = (-1)^k exp(i pi f),             k = round(v),
    log(1 + e) = 2 atanh(s) = 2 s (1 + s^2/3 + s^4/5 + ...),   s = e / (2 + e) <= 1/3 for 0 <= e <= 1.

The polynomials interpolate at Chebyshev points, which comes within a small factor of the best possible error; their
degrees put that error below the rounding of each type. They are computed once, here, and frozen into the machine
code.
"""

import math
from collections.abc import Callable

import numpy as np
from numba import types
from numba.extending import overload

from src.ops.jit import jit

LOG2_E = 1.4426950408889634
LN_2 = 0.6931471805599453


def _coefficients(
    function: Callable[[np.ndarray], np.ndarray], low: float, high: float, degree: int
) -> tuple[float, ...]:
    """The interpolating polynomial at Chebyshev points of [low, high], highest power first."""
    series = np.polynomial.Chebyshev.interpolate(function, degree, [low, high])
    return tuple(series.convert(kind=np.polynomial.Polynomial).coef[::-1].tolist())


def _two_to(f: np.ndarray) -> np.ndarray:
    """(2^f - 1) / f: 1 + f (...) is exactly 1 at f = 0, as a state that must not decay needs."""
    f = np.where(f == 0, 1e-30, f)
    return np.expm1(f * LN_2) / f


def _sine(g: np.ndarray) -> np.ndarray:
    """sin(pi f) / f at g = f^2."""
    return math.pi * np.sinc(np.sqrt(g))


def _cosine(g: np.ndarray) -> np.ndarray:
    """(cos(pi f) - 1) / f^2 at g = f^2."""
    return -2 * np.sin(math.pi / 2 * np.sqrt(g)) ** 2 / g


def _atanh(g: np.ndarray) -> np.ndarray:
    """2 atanh(s) / s at g = s^2."""
    return 2 * np.arctanh(np.sqrt(g)) / np.sqrt(g)


def _polynomial(
    real: type, function: Callable[[np.ndarray], np.ndarray], low: float, high: float, degree: int
) -> Callable:
    first, *others = _coefficients(function, low, high, degree)
    others = tuple(others)

    @jit
    def polynomial(x):
        p = real(first)
        for coefficient in others:
            p = p * x + real(coefficient)
        return p

    return polynomial


def _functions(
    real: type, integer: type, mantissa: int, exponent: int, degrees: tuple[int, int, int]
) -> tuple[Callable, ...]:
    """Builds (exp2, exp_pi_i, log1p_unit) of a floating-point type from its layout and its polynomials' degrees."""
    two_to = _polynomial(real, _two_to, -0.5, 0.5, degrees[0])
    sine, cosine = (_polynomial(real, function, 0, 0.25, degrees[1]) for function in (_sine, _cosine))
    logarithm = _polynomial(real, _atanh, 0, 1 / 9, degrees[2])

    @jit
    def exp2(y):
        # at these bounds adding k to the exponent of 1.0 gives exactly 0 and infinity; nan passes both comparisons
        y = real(-exponent) if y < real(-exponent) else y
        y = real(exponent + 1) if y > real(exponent + 1) else y
        k = np.rint(y)
        f = y - k
        bits = real(real(1) + f * two_to(f)).view(integer)
        return integer(bits + (integer(k) << mantissa)).view(real)

    @jit
    def exp_pi_i(v):
        k = np.rint(v)
        half = k * real(0.5)
        sign = real(1) - real(4) * (half - np.floor(half))
        f = v - k
        g = f * f
        return sign * (real(1) + g * cosine(g)), sign * (f * sine(g))

    @jit
    def log1p_unit(e):
        s = e / (real(2) + e)
        return s * logarithm(s * s)

    return exp2, exp_pi_i, log1p_unit


_BY_TYPE = {
    types.float32: _functions(np.float32, np.int32, 23, 127, (5, 4, 4)),
    types.float64: _functions(np.float64, np.int64, 52, 1023, (11, 8, 11)),
}


def exp2(y: float) -> float:
    """2^y in the type of y; 0 and infinity where that under- and overflows, nan for nan. Only for compiled code."""
    raise NotImplementedError("compiled code only")


def exp_pi_i(v: float) -> tuple[float, float]:
    """(cos(pi v), sin(pi v)) in the type of v. Only for compiled code."""
    raise NotImplementedError("compiled code only")


def log1p_unit(e: float) -> float:
    """log(1 + e) for 0 <= e <= 1, relatively exact for small e too, in the type of e. Only for compiled code."""
    raise NotImplementedError("compiled code only")


@overload(exp2)
def _exp2(y):
    chosen = _BY_TYPE[y][0]
    return lambda y: chosen(y)


@overload(exp_pi_i)
def _exp_pi_i(v):
    chosen = _BY_TYPE[v][1]
    return lambda v: chosen(v)


@overload(log1p_unit)
def _log1p_unit(e):
    chosen = _BY_TYPE[e][2]
    return lambda e: chosen(e)
