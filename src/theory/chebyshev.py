"""Polynomials on [-1, 1] that bound real SSMs: Chebyshev coefficients, exact conversions, and a supremum that rounding cannot fool.

A vector y (t,) is read as the polynomial p(a) = sum_k y_k a^k: the inner product of y with the response (1, a, a^2, ...) of one real
state of weight 1. In the Chebyshev basis p = sum_j c_j T_j, with the exact (rational) change of basis

    a^k = 2^(1-k) sum_i binom(k, i) T_(k-2i)   (the term T_0 halved),        T_j = sum_k T_jk a^k,  T_jk integers.
"""

import math
from fractions import Fraction
from functools import cache

import numpy as np
from scipy.fft import dct

_DCT_ERROR = 1e-12  # far above what a DCT of up to 2^20 points rounds by, relative to the sum of |c_j|


@cache
def coefficients(j: int) -> tuple[int, ...]:
    """Returns the coefficients T_j0 .. T_jj of Chebyshev's polynomial T_j, lowest power first, exact."""
    if j < 2:
        return (1,) if j == 0 else (0, 1)
    twice, before = [0, *(2 * c for c in coefficients(j - 1))], coefficients(j - 2)
    return tuple(c - (before[k] if k < len(before) else 0) for k, c in enumerate(twice))


def value(j: int, x: Fraction) -> Fraction:
    """Returns T_j(x), exact for a rational x."""
    before, now = Fraction(1), Fraction(x)
    for _ in range(j):
        before, now = now, 2 * x * now - before
    return before


@cache
def from_powers(t: int) -> np.ndarray:
    """Returns the matrix (t, t) with c = matrix @ y: column k holds the Chebyshev coefficients of a^k, all in [0, 1]."""
    matrix = np.zeros((t, t))
    for k in range(t):
        for i in range(k // 2 + 1):
            share = Fraction(math.comb(k, i), 2 ** max(k - 1, 0))
            matrix[k - 2 * i, k] = float(share / 2 if k == 2 * i and k else share)
    return matrix


def supremum(c: np.ndarray, oversampling: int = 256, error: float = 0.0) -> float:
    """Returns an upper bound on max |p(a)| over [-1, 1] for p = sum_j c_j T_j, c (t,), at most about 1 / oversampling^2 too large.

    At the N + 1 points cos(i pi / N) a polynomial of degree n < N reaches cos(n pi / 2N) of its maximum or more (Ehlich and Zeller 1964).

    Args:
        oversampling: N is at least this many times n.
        error: how far the true coefficients may be from c, as the sum of the distances.
    """
    return _on_grid(c, oversampling)[1] + error / math.cos(math.pi / (2 * oversampling))


def _on_grid(c: np.ndarray, oversampling: int) -> tuple[np.ndarray, float]:
    """Returns (p at cos(i pi / N) for i = 0 .. N, bound on its supremum)."""
    n = max(len(c) - 1, 1)
    N = 1 << math.ceil(math.log2(oversampling * n))
    padded = np.zeros(N + 1)
    padded[: len(c)] = c
    padded[1:N] /= 2
    values = dct(padded, type=1)
    top = float(np.abs(values).max()) + _DCT_ERROR * float(np.abs(c).sum())
    return values, top / math.cos(n * math.pi / (2 * N))


def maxima(c: np.ndarray, oversampling: int = 32) -> tuple[np.ndarray, np.ndarray]:
    """Returns (theta, p(cos theta)) at every local maximum of |p| in [0, pi], refined by Newton's method; p = sum_j c_j T_j."""
    values, _ = _on_grid(c, oversampling)
    size, last = np.abs(values), len(values) - 1
    peaks = np.flatnonzero((size >= np.append(size[1:], 0)) & (size >= np.append(0, size[:-1])))
    step = np.pi / last
    theta, inner = peaks * step, (peaks > 0) & (peaks < last)
    for _ in range(3):
        p, slope, curvature = derivatives(c, theta)
        uphill = inner & (curvature * p < 0)
        theta = theta + np.where(uphill, np.clip(-slope / np.where(uphill, curvature, 1.0), -step, step), 0.0)
    theta = np.clip(theta, 0.0, np.pi)
    return theta, derivatives(c, theta)[0]


def derivatives(c: np.ndarray, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns p(cos theta) and its first two derivatives by theta, each (m,), for p = sum_j c_j T_j."""
    j = np.arange(len(c))
    cos, sin = np.cos(np.outer(theta, j)), np.sin(np.outer(theta, j))
    return cos @ c, -sin @ (j * c), -cos @ (j * j * c)


def integers(values: np.ndarray) -> tuple[np.ndarray, int]:
    """Returns (values * unit as Python integers (t,), unit), unit a power of two. ValueError unless values is finite, 1-d."""
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 1 or not np.isfinite(values).all():
        raise ValueError(f"expected a finite vector, got shape {values.shape}")
    ratios = [x.as_integer_ratio() for x in values.tolist()]
    unit = max((denominator for _, denominator in ratios), default=1)
    return np.array([numerator * (unit // denominator) for numerator, denominator in ratios], dtype=object), unit
