"""HiPPO-LegS in closed form: the transfer functions of S4 and S4D, Lemma 1 and the spikes of P1 = arXiv 2310.01698.

Everything follows from A_H + A_H^T = -I - B_H B_H^T. With

    rho_n(s) = prod_{j<n} (s - j) / (s + j + 1)

    resolvent:  [(sI - A_H)^-1 B_H]_k = sqrt(2k+1) rho_k(s) / (s + k + 1)
    Lemma 1:    G_Diag(s) = G_DPLR(s) / (1 + rho_n(s)) for every C
    axis:       rho_n(iw) = w / sqrt(w^2 + n^2) exp(i (2 sum_{0<j<n} atan(j/w) + atan(n/w))) for w > 0

The eigenvalues of A_H^perp are the zeros -1/2 + iw of 1 + rho_n, where every factor of rho_n has modulus one:

    poles:      sum_{j<n} atan((j + 1/2) / w) = (m + 1/2) pi,  m = 0, 1, ..., floor(n/2) - 1

so w_m ~ n^2 / ((2m+1) pi), and |G_Diag(iw)| has spikes there: it cannot converge uniformly to G_DPLR (Theorem 2).
No matrix is formed.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from .discretise import Array
from .hippo import Float, check_order
from .nplr import Complex
from .search import maximise


class Spikes(NamedTuple):
    """Local maxima of |G_Diag(iw)|, w > 0, from the highest frequency down."""

    frequency: Float  # (m,), radians per unit of time
    height: Float  # (m,)


def rho(n: int, s: ArrayLike) -> Complex:
    """Returns rho_n(s) of Lemma 1, elementwise; |rho_n| < 1 for Re s > -1/2 and |rho_n(iw)| = |w| / sqrt(w^2 + n^2)."""
    s = np.asarray(s, dtype=np.complex128)
    product = np.ones_like(s)
    for j in range(n):  # factor by factor: each has modulus below 1 in the right half plane, so nothing overflows
        product = product * ((s - j) / (s + (j + 1)))
    return product


def g_dplr(n: int, s: ArrayLike, C: Array | None = None) -> Complex:
    """Returns G_DPLR(s) = C (sI - A_H)^-1 B_H, elementwise in s, in O(n) for each s; C (n,) is e_0 when None."""
    s = np.asarray(s, dtype=np.complex128)
    if C is None:
        return 1.0 / (s + 1.0)
    total, product = np.zeros_like(s), np.ones_like(s)
    for k in range(n):
        total += C[k] * np.sqrt(2.0 * k + 1.0) * product / (s + (k + 1))
        product *= (s - k) / (s + (k + 1))
    return total


def g_diag_from_dplr(n: int, s: ArrayLike, G: ArrayLike) -> Complex:
    """Returns G_Diag(s) from G = G_DPLR(s) of the same C, elementwise: Lemma 1."""
    return np.asarray(G) / one_plus_rho(n, s)


def one_plus_rho(n: int, s: ArrayLike) -> Complex:
    """Returns 1 + rho_n(s), elementwise; on the imaginary axis without cancellation where rho_n is close to -1."""
    s = np.asarray(s, dtype=np.complex128)
    return _one_plus_rho_on_axis(n, s.imag) if not s.real.any() else 1.0 + rho(n, s)


def pole_frequencies(n: int, count: int | None = None) -> Float:
    """Returns the positive imaginary parts of eig(A_H^perp), descending: the first `count`, or all floor(n/2) of them.

    Newton's method in x = 1/w on sum_j atan((j + 1/2) x) = (m + 1/2) pi. The left side is concave and increasing, so
    the iterates from x = 0 rise monotonically to the root; the first is the asymptotic formula n^2 / ((2m+1) pi).
    """
    check_order(n)
    half = np.arange(n) + 0.5
    poles = [_pole(half, (m + 0.5) * np.pi) for m in range(n // 2 if count is None else min(count, n // 2))]
    return np.array(poles)


def last_spike(n: int) -> float:
    """Returns the largest imaginary part of eig(A_H^perp), the place of the last spike: n^2 / pi - pi / 6 + o(1).

    Raises:
        UserError: n is not a whole number of at least 1.
        ValueError: n = 1, which has no spike.
    """
    check_order(n)
    if n == 1:
        raise ValueError("n = 1 has the single eigenvalue -1/2 and no spike")
    return float(pole_frequencies(n, 1)[0])


def spikes(n: int, C: Array | None = None, count: int | None = None) -> Spikes:
    """Returns the spikes of |G_Diag(iw)| for w > 0, from the highest frequency down; C (n,) is e_0 when None.

    Every pole is a candidate, and the maximum is searched between the midpoints to its neighbours. Poles without a
    local maximum are left out: at low frequencies rho is small and the peaks overlap.

    Args:
        count: look at the `count` highest poles only.
    """
    poles = pole_frequencies(n, None if count is None else count + 1)
    w = poles[:count]
    low = (w + np.append(poles, 0.0)[1 : len(w) + 1]) / 2
    high = np.append(2 * w[:1] - low[:1], low[:-1])

    def height(w: Float) -> Float:
        s = 1j * w
        return np.abs(g_diag_from_dplr(n, s, g_dplr(n, s, C)))

    frequency, value = maximise(height, low, high)
    inside = np.minimum(frequency - low, high - frequency) > 1e-6 * (high - low)
    return Spikes(frequency[inside], value[inside])


def _one_plus_rho_on_axis(n: int, w: Float) -> Complex:
    """1 + rho = -expm1(log|rho| + i (phase - pi)): both terms are small at a spike. -w gives the conjugate of w."""
    safe = np.where(w == 0, 1.0, np.abs(w))
    phase = np.arctan(n / safe)
    for j in range(1, n):
        phase = phase + 2.0 * np.arctan(j / safe)
    value = -np.expm1(-0.5 * np.log1p((n / safe) ** 2) + 1j * (phase - np.pi))
    return np.where(w == 0, 1.0, np.where(w < 0, value.conj(), value))


def _pole(half: Float, target: float) -> float:
    """Solves sum_j atan(half_j x) = target by monotone Newton steps from x = 0 and returns 1 / x."""
    x = 0.0
    while True:
        y = half * x
        step = (target - np.arctan(y).sum()) / (half / (1.0 + y * y)).sum()
        x += step
        if step <= 1e-15 * x:
            return 1.0 / x
