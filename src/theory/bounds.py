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
from collections.abc import Callable
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from .chebyshev import integers


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

    Here m counts from 0, over all d >= 1 whose difference lies within the first t entries. P2 prints m >= 1 for entries
    counted from 1, but the factor 2^(2 min(d, m)) comes from Lemma 6, where the index counts from 0: as printed the
    state a = 0 is a counter-example, which answers phi = (1, 0, 0, ...) with weight 1 where 4 are demanded.

    High differences cancel, so they are taken exactly, in integers: float64 entries are multiples of a power of two.
    The bound is therefore exact for the phi given; where phi is itself rounded, eps has to include that rounding.
    Returns inf beyond float64.
    """
    values, unit = integers(phi)
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


# target -> (its corollary's name, least t, the statement about the target before normalisation)
COROLLARIES: dict[str, tuple[str, int, Callable[[int], Corollary]]] = {
    "delay": ("Corollary 1", 9, corollary1),
    "random": ("Corollary 2", 8, corollary2),
    "oscillation": ("Corollary 3", 1, corollary3),
}


def theorem1(t: int, eps: float) -> float:
    """P2, Theorem 1 with the constant that its proof gives: n_R >= floor(t / 18) - 1 - 4 eps, for phi the response of
    one complex state with |sin arg A| >= 0.2, |A| >= 0.5^(1/t) and |B C| >= 1.

    P2 prints t / 9, but a real SSM's sign changes are counted along its odd (or even) entries, of which there are t / 2;
    src/theory/few_states.py has a real SSM with fewer states than printed.

    Proof. All entries are at least |cos| / 2 in size. If L of the odd entries alternate in sign and have |cos| >= 1/2,
    a response with at most n_R - 1 sign changes agrees in sign with at most n_R of them, and each of the others costs
    1/4: n_R >= L - 4 eps. The phase advances by beta = 2 arg A per odd entry, beta in [0.402, pi] by symmetry.
    beta <= 2 pi / 3: no step jumps over an arc |cos| >= 1/2, one of which begins every half turn, so L is at least
    floor((t/2 - 1) beta / pi - 2/3) >= floor(t / 18 - 1).
    beta = pi - gamma > 2 pi / 3: at every i the odd or the next even entry has |cos| >= 1/2 (their envelopes cos(u) and
    sin(u - gamma / 2) are not both small), so one of the two sequences has t / 4 such entries; they come in runs of two
    or more (but the first and last) that alternate, so L >= t / 8 - 1.
    """
    return max(t // 18 - 1 - 4 * eps, 0.0)


def theorem1_as_printed(t: int, eps: float) -> float:
    """P2, Theorem 1 as printed: floor(t / 9) - 1 - 4 eps. Wrong for long t, see `theorem1`."""
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


def proposition4(steps: int, t: int, loss0: float, c1: float, c2: float) -> float:
    """P2, Proposition 4: how far max(||B||_inf, ||C||_inf) of a real SSM can grow in stable gradient descent.

        steps * (4 c1 c2 t loss0)^(1/2)

    c2 bounds the growth of the loss ||K - phi||_2^2, which never exceeds c2 loss0; c1 bounds the steps, (eta
    max(||B||_inf, ||C||_inf))^2 <= c1. Then one step moves B_j by 2 eta |C_j sum_k e_k a_j^k|, at most
    2 c1^(1/2) (t c2 loss0)^(1/2), and C_j likewise. (We know P2's formula, not its wording of c1: this is the condition
    under which the formula follows.)
    """
    return steps * math.sqrt(4 * c1 * c2 * t * loss0)


def proposition5(eps: float, q: float, max_CB: float) -> float:
    """P2, Proposition 5: an upper bound on the probability that a quantised real SSM is still within L1 distance eps
    of phi.

        min(1, 2 eps / (q max_CB) * artanh(q / 2) / (q / 2))

    Quantisation is P2's Definition 2, which treats A, B and C separately: each of their entries x is drawn uniformly
    from an interval of width q |x| around it. The first entry of the response, sum_j C_j B_j, must fall into an interval
    of length 2 eps; given all but B_j of the largest product, it is uniform with density 1 / (q |B_j C'_j|), and the
    mean of 1 / |C'_j| over the drawn C'_j is the artanh term over |C_j|: 1 + q^2 / 12 + ..., which P2's form leaves out.
    """
    _require(
        eps >= 0 and 0 < q < 2 and max_CB > 0,
        f"Proposition 5 needs eps >= 0, 0 < q < 2 and max_CB > 0, got {eps}, {q}, {max_CB}",
    )
    return min(1.0, 2 * eps / (q * max_CB) * math.atanh(q / 2) / (q / 2))


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ValueError(message)
