"""The exact price of being real, in the paper's own measure of error (P2 = arXiv 2410.14067, Section 2.3 and Theorem 2).

A real diagonal SSM answers K_k = sum_j w_j a_j^k with w = C o B and a_j in (-1, 1), and n max_j |w_j| >= ||w||_1 for every n. So the price
of an L1 error eps is a convex problem, that of the least measure on [-1, 1] whose moments come that close:

    price(phi, eps) = min ||w||_1   subject to   sum_{k<t} |K_k - phi_k| <= eps
                    = max <phi, y> - eps max_k |y_k|   over y with |p(a)| = |sum_k y_k a^k| <= 1 on [-1, 1].

Any y gives a lower bound, divided by the supremum of its |p|: <phi, y> = <K, y> + <phi - K, y> <= ||w||_1 sup |p| + eps max |y_k|.

At eps = 0 the best polynomials are Chebyshev's:

    copy by m = floor((t - 1) / 2)   |coefficient of a^m| in T_(t-1) or T_(t-2), whichever has the parity of m (V. A. Markov 1892)
    oscillation (1, 0, -1, 0, ...)   T_m(3), m = floor((t - 1) / 2): <phi, y> = q(-1) for the even part p(a) = q(a^2), and among all q of
                                     degree m with |q| <= 1 on [0, 1] the shifted T_m(2 z - 1) is largest outside, |T_m(-3)| = T_m(3)
    alternation, decay               1: <phi, y> = p(-1) or p(0.9), and one state is enough
"""

import math
import sys
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

import numpy as np
from scipy.optimize import linprog

from . import chebyshev
from .targets import canonical

_FREE = 1e4  # scaled variables stay below this: it keeps the LP bounded and cuts off nothing that a float64 could use
_SCALES = 8  # steps of the search for S, over all orders of magnitude
_PIVOTS = 4000  # of one linear program: degenerate ones (easy targets at large t) may cycle, and gain nothing
_ROUNDS = 8  # of adding the points where |p| exceeds 1


# --- closed forms at eps = 0 ---


def copy_price(t: int) -> int:
    """Returns the price of an exact copy by floor((t - 1) / 2) over t entries."""
    m = (t - 1) // 2
    degree = t - 1 if (t - 1 - m) % 2 == 0 else t - 2
    return abs(chebyshev.coefficients(degree)[m])


def oscillation_price(t: int) -> int:
    """Returns the price of the exact oscillation 1, 0, -1, 0, ... over t entries."""
    return int(chebyshev.value((t - 1) // 2, Fraction(3)))


EXACT: dict[str, Callable[[int], int]] = {
    "delay": copy_price,
    "oscillation": oscillation_price,
    "alternation": lambda t: 1,
    "decay": lambda t: 1,
}


def exact_price(task_name: str, t: int) -> int | None:
    """Returns the price of answering the target (before normalisation) exactly, None where no closed form is known."""
    form = EXACT.get(canonical(task_name))
    return None if form is None else form(t)


# --- any target, any error ---


def price(phi: np.ndarray, eps: float, search: bool = True) -> float:
    """Returns a lower bound on ||w||_1, and so on n max_j |w_j|, of every real SSM within L1 distance eps of phi (t,).

    It is true whatever the solver did: the polynomial that a linear program finds is taken as it is, <phi, y> and max |y_k| are computed
    in integers and sup |p| is bounded from above. Where the numbers fit float64 it is within 1e-3 of the price (see the tests).

    The program is solved in the Chebyshev basis, where p is as large as its coefficients; those of y reach 1e97 at t = 256. Only
    polynomials with max |y_k| <= about S can gain where eps > 0, so T_j enters divided by max(1, its largest coefficient / S), and S is
    searched for.

    Args:
        search: False takes single Chebyshev polynomials only: exact, in milliseconds at any t, for copy and oscillation hardly less.
    """
    phi = np.asarray(phi, dtype=np.float64)
    if eps < 0:
        raise ValueError(f"eps = {eps}: an error is not negative")
    if np.abs(phi).sum() <= eps:
        return 0.0
    program = _Program(phi, float(eps))
    best = program.single()
    if search:
        best = max(best, program.solve(program.largest, _ROUNDS) if eps == 0 else _searched(program))
    bound = max(best, Fraction(0))
    return sys.float_info.max if bound > sys.float_info.max else max(math.nextafter(float(bound), -math.inf), 0.0)


def _searched(program: "_Program") -> Fraction:
    """The best bound over the scale S: uphill from the height of the best single T_j, then around what was found.

    The bound grows with S until S binds no more, and falls where the numbers leave float64.
    """
    tried: dict[float, Fraction] = {}

    def bound(share: float, rounds: int = 1) -> Fraction:
        share = min(max(share, 0.0), 1.0)
        if share not in tried or rounds > 1:
            S = 2 ** round(share * program.largest.bit_length())
            tried[share] = max(tried.get(share, Fraction(-1)), program.solve(S, rounds))
        return tried[share]

    start = round(_SCALES * program.start()) / _SCALES
    while bound(start) <= 0 and start > 0:
        start -= 1 / _SCALES
    for step in (1 / _SCALES, -1 / _SCALES):
        share = start
        while 0 <= share + step <= 1 and bound(share + step) > max(bound(share), 0) * Fraction(1001, 1000):
            share += step
    for spacing in (0.5 / _SCALES, 0.25 / _SCALES):
        centre = max(tried, key=tried.get)
        for share in (centre - spacing, centre + spacing):
            bound(share)
    bound(max(tried, key=tried.get), _ROUNDS)
    return max(tried.values())


@dataclass
class _Program:
    """The linear program over the coefficients of p. Only T_j of phi's parity enter, where it has one: the others gain nothing."""

    phi: np.ndarray
    eps: float

    @cached_property
    def degrees(self) -> np.ndarray:
        parities = set(np.flatnonzero(self.phi) % 2)
        return np.arange(len(self.phi)) if len(parities) == 2 else np.arange(parities.pop(), len(self.phi), 2)

    @cached_property
    def table(self) -> np.ndarray:
        """T_jk as Python integers, (degrees, t); without parity all k, else those of its parity."""
        rows = [chebyshev.coefficients(int(j)) for j in self.degrees]
        return np.array([[row[k] if k < len(row) else 0 for k in self.degrees] for row in rows], dtype=object)

    @cached_property
    def heights(self) -> list[int]:
        return [max(map(abs, row)) for row in self.table]

    @property
    def largest(self) -> int:
        return max(self.heights)

    @cached_property
    def _exact_phi(self) -> tuple[np.ndarray, int]:
        values, unit = chebyshev.integers(self.phi)
        return values[self.degrees], unit

    def solve(self, S: int, rounds: int) -> Fraction:
        """Returns the bound of the best polynomial found with scale S; each round adds the points where |p| was too large."""
        t, halves = len(self.phi), len(self.degrees) < len(self.phi)
        end = np.pi / 2 if halves else np.pi
        theta = np.linspace(0.0, end, (3 * t) // (2 if halves else 1) + 1)
        best = Fraction(-1)
        for _ in range(rounds):
            c = self._optimum(S, theta)
            if c is None:
                break
            best = max(best, self.bound(c))
            points, p = chebyshev.maxima(c)
            if np.abs(p).max() < 1 + 1e-6:
                break
            points = points[np.abs(p) > 1 + 1e-7]
            theta = np.unique(np.append(theta, np.minimum(points, np.pi - points) if halves else points))
        return best

    def _optimum(self, S: int, theta: np.ndarray) -> np.ndarray | None:
        """The program with |p| <= 1 at cos(theta) only, in variables c_j = z_j / max(1, height_j / S); returns c (t,)."""
        n, scale = len(self.degrees), np.array([S / max(S, height) for height in self.heights])
        values, unit = self._exact_phi
        over = [max(S, height) for height in self.heights]
        gain = np.array([int(row @ values) / (unit * D) for row, D in zip(self.table, over, strict=True)])
        points = np.cos(np.outer(theta, self.degrees)) * scale
        powers = np.array([[x / D for x in row] for row, D in zip(self.table, over, strict=True)], dtype=np.float64).T
        none, one = np.zeros((len(theta), 1)), np.ones((n, 1))
        rows = np.block([[points, none], [-points, none], [powers, -one], [-powers, -one]])
        limits = np.concatenate([np.ones(2 * len(theta)), np.zeros(2 * n)])
        cost = np.append(-gain, self.eps) / np.abs(gain).max()
        box, patience = [(-_FREE, _FREE)] * n + [(0, None)], {"maxiter": _PIVOTS}
        found = linprog(cost, rows, limits, bounds=box, method="highs-ds", options=patience)
        if found.x is None:
            return None
        c = np.zeros(len(self.phi))
        c[self.degrees] = found.x[:n] * scale
        return c

    def single(self) -> Fraction:
        """Returns the best bound of one Chebyshev polynomial alone, exact."""
        return max(self._singles)

    def start(self) -> float:
        """Returns where to look for S, as a share of the orders of magnitude: at the best single polynomial's height."""
        best = max(range(len(self.heights)), key=self._singles.__getitem__)
        return self.heights[best].bit_length() / self.largest.bit_length() if self._singles[best] > 0 else 0.5

    @cached_property
    def _singles(self) -> list[Fraction]:
        values, unit = self._exact_phi
        gains = [Fraction(abs(int(row @ values)), unit) for row in self.table]
        return [gain - Fraction(self.eps) * height for gain, height in zip(gains, self.heights, strict=True)]

    def bound(self, c: np.ndarray) -> Fraction:
        """Returns (<phi, y> - eps max |y_k|) / sup |p| for p = sum_j c_j T_j, rounded only in the supremum, upwards."""
        exact, unit = chebyshev.integers(c[self.degrees])
        y = exact @ self.table
        values, phi_unit = self._exact_phi
        gain = Fraction(int(y @ values), unit * phi_unit) - Fraction(self.eps) * Fraction(int(max(np.abs(y))), unit)
        return gain / Fraction(chebyshev.supremum(c))
