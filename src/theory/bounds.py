"""What P2 (arXiv 2410.14067, Sections 3 and 4) proves about diagonal SSMs, as numbers.

A real SSM has the impulse response K_k = sum_j w_j a_j^k with w = C o B (entrywise), n_R states and |a_j| < 1; k
counts from 0, while P2 counts entries from 1. It eps-approximates phi up to t when sum_{k<t} |K_k - phi_k| <= eps (an
L1 error). Its odd entries K_0, K_2, ... = sum_j w_j x_j^i and its even entries K_1, K_3, ... = sum_j w_j a_j x_j^i
have powers of x_j = a_j^2 in [0, 1) only, and two properties of such sums give every lower bound here:

    sum_j w_j x_j^i changes sign at most n_R - 1 times along i               (Lemma 4 -> Theorem 1, the dimension)
    |d-th forward difference at m| = |sum_j w_j x_j^m (x_j - 1)^d| <= n_R ||w||_inf 2^(-2 min(d, m))
                                                                             (Lemma 6 -> Theorem 2, the parameters)
"""

import math
from fractions import Fraction
from typing import NamedTuple

import numpy as np


class Corollary(NamedTuple):
    """For every L1 error up to `eps`, n_R ||C o B||_inf >= `bound`."""

    eps: float
    bound: float

    def scaled(self, factor: float) -> "Corollary":
        """The same statement about factor * phi: both sides of Theorem 2 are homogeneous in (phi, eps, w)."""
        return Corollary(self.eps * factor, self.bound * factor)


def theorem2(phi: np.ndarray, eps: float) -> float:
    """P2, Theorem 2: a lower bound (>= 0) on n_R ||C o B||_inf for every real SSM within L1 distance eps of phi (t,).

        max over d, m and sigma in {odd, even} of  2^(d + 2 min(d, m)) (2^(-d) |(phi|_sigma)^(d)_m| - eps)

    Here m counts from 0, over all d >= 1 whose difference lies within the first t entries. (P2 counts entries from 1;
    the factor 2^(2 min(d, m)) comes from Lemma 6, where the index counts from 0, and with m from 1 the state a = 0
    would be a counter-example.)

    High differences cancel, so they are taken exactly, in integers: float64 entries are multiples of a power of two.
    The bound is therefore exact for the phi given; where phi is itself rounded, eps has to include that rounding.
    Returns inf beyond float64.
    """
    values, unit = _integers(phi)
    best = Fraction(0)
    for sigma in (0, 1):
        difference = values[sigma::2]
        for d in range(1, len(difference)):
            difference = np.diff(difference)
            slack = unit * Fraction(float(eps)) * 2**d
            gain = np.array([1 << 2 * min(d, m) for m in range(len(difference))], dtype=object)
            best = max(best, max(gain * (np.abs(difference) - slack)))
    try:
        return float(best / unit)
    except OverflowError:
        return math.inf


def _integers(phi: np.ndarray) -> tuple[np.ndarray, int]:
    """Returns (phi * unit as Python integers (t,), unit), unit a power of two. ValueError unless phi is finite, 1-d."""
    phi = np.asarray(phi, dtype=np.float64)
    if phi.ndim != 1 or not np.isfinite(phi).all():
        raise ValueError(f"expected a finite vector, got shape {phi.shape}")
    ratios = [x.as_integer_ratio() for x in phi.tolist()]
    unit = max((denominator for _, denominator in ratios), default=1)
    return np.array([numerator * (unit // denominator) for numerator, denominator in ratios], dtype=object), unit


def corollary1(t: int) -> Corollary:
    """P2, Corollary 1: phi = copy by floor((t - 1) / 2), t >= 9."""
    _require(t >= 9, f"Corollary 1 needs t >= 9, got {t}")
    return Corollary(1 / (8 * math.sqrt(t)), 2 ** (t / 2) / (32 * math.sqrt(t)))


def corollary2(t: int, a: float = 1.0, p: float = 0.5) -> Corollary:
    """P2, Corollary 2: entries of phi drawn from U[-a, a], t >= 8; holds with probability >= 1 - p over the draw."""
    _require(t >= 8 and a > 0 and 0 < p < 1, f"Corollary 2 needs t >= 8, a > 0 and 0 < p < 1, got {t}, {a}, {p}")
    return Corollary(a * math.sqrt(p / t), 2 ** (t / 2) * a * math.sqrt(p) / (8 * math.sqrt(t)))


def corollary3(t: int) -> Corollary:
    """P2, Corollary 3: phi = 1, 0, -1, 0, 1, ..."""
    _require(t >= 1, f"Corollary 3 needs t >= 1, got {t}")
    return Corollary(0.5, 2 ** (3 * t / 4 - 4))


def theorem1(t: int, eps: float) -> float:
    """P2, Theorem 1: n_R >= floor(t / 9) - 1 - 4 eps, for phi the response of one complex state.

    P2's conditions: |sin arg A| >= 0.2, |A| >= 0.5^(1/t) and |B C| >= 1. The constants are given as we know them and
    are not rigorous at the smallest angle for t in the thousands: there phi changes sign only about t / 15.6 times
    along its odd entries, and a real SSM with fewer states than stated exists (in the limit of equal A; found
    numerically from t = 3,600 on). `least_states` counts the sign changes of a given phi and holds without
    conditions.
    """
    return max(t // 9 - 1 - 4 * eps, 0.0)


def sign_changes(phi: np.ndarray) -> int:
    """Number of sign changes along phi (t,), zeros skipped. P2, Lemma 4: < n_R for the odd entries of a real SSM."""
    signs = np.sign(phi)[np.asarray(phi) != 0]
    return int(np.count_nonzero(signs[1:] != signs[:-1]))


def least_states(phi: np.ndarray, eps: float) -> int:
    """A lower bound on n_R by Lemma 4 for every real SSM within L1 distance eps of phi (t,), whatever its parameters.

    The least number of sign changes that a sequence within eps of phi|_sigma can have, plus one (0 if the zero map is
    within eps); the larger of sigma = odd and even. Giving an entry the sign s costs max(0, -s phi_k), and least cost
    is found per number of changes.
    """
    phi = np.asarray(phi, dtype=np.float64)
    if np.abs(phi).sum() <= eps:
        return 0
    return max(_least_sign_changes(phi[sigma::2], eps) for sigma in (0, 1)) + 1


def _least_sign_changes(phi: np.ndarray, eps: float) -> int:
    """Fewest sign changes within L1 distance eps of phi (t,). cost[s, c]: least price of c changes, last sign s."""
    cost = np.full((2, sign_changes(phi) + 1), np.inf)
    cost[:, 0] = 0.0
    for value in phi:
        changed = np.full_like(cost, np.inf)
        changed[:, 1:] = cost[::-1, :-1]
        cost = np.minimum(cost, changed) + np.array([[max(0.0, -value)], [max(0.0, value)]])
    return int(np.argmax(cost.min(axis=0) <= eps))


def lemma6(d: int, m: int) -> tuple[float, float]:
    """P2, Lemma 6: bounds (tight, simple) on |d-th forward difference of (1, a, a^2, ...) at m >= 0| for a in [0, 1].

    tight = (d / (d + m))^d (m / (d + m))^m, reached at a = m / (d + m);  simple = 2^(-2 min(d, m)).
    """
    _require(d >= 0 and m >= 0, f"Lemma 6 needs d, m >= 0, got {d}, {m}")
    total = max(d + m, 1)
    return (d / total) ** d * (m / total) ** m, 2.0 ** (-2 * min(d, m))


def proposition4(steps: int, t: int, loss0: float, c1: float, c2: float) -> float:
    """P2, Proposition 4: how far max(||B||_inf, ||C||_inf) of a real SSM can grow in stable gradient descent.

        steps * (4 c1 c2 t loss0)^(1/2)

    Stable is read here as: step size eta <= c1, eta max(||B||_inf, ||C||_inf)^2 <= c2, and a loss ||K - phi||_2^2
    that never exceeds loss0. (The largest curvature is at least 2 max(||B||_inf, ||C||_inf)^2, so eta <= 2 c2 /
    curvature implies the second.) Then one step moves B_j by 2 eta |C_j sum_k e_k a_j^k| <= 2 (c1 c2)^(1/2) (t
    loss0)^(1/2), and C_j likewise.
    """
    return steps * math.sqrt(4 * c1 * c2 * t * loss0)


def proposition5(eps: float, q: float, max_CB: float) -> float:
    """P2, Proposition 5: an upper bound on the probability that a quantised real SSM is still within L1 distance eps
    of phi.

        min(1, 2 eps / (q max_CB))

    Quantisation is read here as: each entry of C o B is drawn uniformly from an interval of width q |(C o B)_j|
    around it. The first entry of the response, sum_j (C o B)_j, then has a density of at most 1 / (q max_CB), and
    must fall into an interval of length 2 eps.
    """
    _require(
        eps >= 0 and q > 0 and max_CB > 0,
        f"Proposition 5 needs eps >= 0, q > 0 and max_CB > 0, got {eps}, {q}, {max_CB}",
    )
    return min(1.0, 2 * eps / (q * max_CB))


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ValueError(message)
