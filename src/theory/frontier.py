"""The exact frontier of real diagonal SSMs in the loss that is trained (P2 = arXiv 2410.14067, Appendix C), with certificates.

Of all real SSMs with ||C o B||_1 <= M, any number of states and any a_j in [-1, 1], which comes closest to phi?

    E(M) = min ||K - phi||_2^2,    K = V w = sum_j w_j (1, a_j, a_j^2, ...),    ||w||_1 <= M.

The problem is convex in the measure w. For any y, every such K obeys <K, y> <= M sup |p|, p(a) = sum_k y_k a^k, so that

    E(M) >= ((<phi, y> - M sup |p|)_+ / ||y||_2)^2,      with equality at the best residual y = phi - K,

which stands at +-sup |p| exactly where K has its poles. One y says this of every M at once: sqrt(E) lies above a straight line, which
also is a lower bound on the price of an error. The search alternates the best weights on a set of poles (a small quadratic
program), Newton's method on the poles a_j = cos(theta_j), and new poles where |p| is largest (Frank and Wolfe's step).

Both bounds hold wherever the search ends. They meet to 1e-3 at all but 7 of 600 sizes drawn at random from 1e-3 to 1e8 (t = 8 to 64, copy,
random, oscillation); those 7 are above 5e4.

The weights cancel: at M = 1e8 the response loses eight digits to them, more than the residual can bear. So residuals come from an
orthogonal basis of the poles' responses and never from phi - V w.
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy.linalg.lapack import dtrtrs

from . import chebyshev

SMALLEST, LARGEST = 1e-3, 1e8  # between these float64 gives both bounds to 1e-4 or better
BETWEEN = 1e-3  # how far `least` may be below E, as a share of it
GAP = 2e-7  # relative distance of the two bounds at which the search ends
_ROUNDS, _PATIENCE = 60, 6
_ROUNDING = 2.0**-52
_FAR = 10.0  # factor between the sizes of a point and of those that its search starts from
_NOTHING = 1e-9  # an error below it is not told apart from 0 by `least`
ZERO = 1e-18  # a squared error that is rounding: phi is answered


@dataclass(frozen=True)
class Support:
    """Poles cos(theta) in [-1, 1], signs and weights of a measure, each (m,); m <= t. Every weight has its sign or is zero."""

    theta: np.ndarray
    sign: np.ndarray
    w: np.ndarray

    @classmethod
    def empty(cls) -> "Support":
        return cls(np.empty(0), np.empty(0), np.empty(0))

    def scaled(self, M: float) -> "Support":
        return Support(self.theta, self.sign, self.w * (M / np.abs(self.w).sum()))

    def without(self, j: int) -> "Support":
        return Support(np.delete(self.theta, j), np.delete(self.sign, j), np.delete(self.w, j))

    def powers(self, t: int) -> np.ndarray:
        return np.power.outer(np.cos(self.theta), np.arange(t)).T


@dataclass(frozen=True)
class Line:
    """What one y proves: sqrt(E(M)) >= reach - height M, for every M."""

    reach: float  # <phi, y> / ||y||
    height: float  # sup |p| / ||y||, rounded upwards

    def at(self, M: float) -> float:
        """Returns the lower bound on E(M)."""
        return max(self.reach - self.height * M, 0.0) ** 2

    def price(self, error: float) -> float:
        """Returns the lower bound on ||w||_1 of every real SSM with this squared error or less."""
        return max(self.reach - math.sqrt(error), 0.0) / self.height if self.height else 0.0


@dataclass(frozen=True)
class Point:
    """A point of the frontier: every real SSM with ||w||_1 <= M has a squared error of `lower` or more; `support` has `upper`."""

    M: float
    upper: float
    line: Line
    support: Support

    @property
    def lower(self) -> float:
        return self.line.at(self.M)


class Frontier:
    """E(M) of one target phi (t,); points found are kept, and start the search for others."""

    def __init__(self, phi: np.ndarray) -> None:
        self.phi = np.asarray(phi, dtype=np.float64)
        self._points: dict[float, Point] = {}

    def at(self, M: float) -> Point:
        """Returns the point at ||w||_1 <= M. Raises ValueError unless M > 0."""
        if not M > 0:
            raise ValueError(f"M = {M}: a bound on ||w||_1 is positive")
        if M not in self._points:
            near = min(self._points, key=lambda other: abs(math.log(other / M)), default=None)
            if near is not None and abs(math.log(M / near)) > 2 * math.log(_FAR):  # the search would not find the way
                near = self.at(near / _FAR if near > M else near * _FAR).M
            start = Support.empty() if near is None else self._points[near].support
            self._points[M] = _Search(self.phi, M).run(start)
        return self._points[M]

    def least(self, M: np.ndarray) -> np.ndarray:
        """Returns lower bounds on E at many M, within BETWEEN of it: the highest of the lines of some points, which are searched for.

        Outside [SMALLEST, LARGEST] the nearer end stands for M.
        """
        M = np.clip(M, SMALLEST, LARGEST)
        lines = [self.at(knot).line for knot in self._knots(float(M.min()), float(M.max()))]
        below = np.max([line.reach - line.height * M for line in lines], axis=0)
        return np.maximum(below, 0.0) ** 2

    def _knots(self, low: float, high: float) -> list[float]:
        """Returns low, high and as many M between them that sqrt(E), convex, is held between the points' lines and their chords."""
        knots, open_ = [low, high], [(self.at(low), self.at(high))]
        while open_:
            a, b = open_.pop()
            bend = a.line.height - b.line.height
            M = (a.line.reach - b.line.reach) / bend if bend > 0 else a.M
            if not a.M < M < b.M:  # a point whose bounds are apart
                M = math.sqrt(a.M * b.M)
            below = max(a.line.reach - a.line.height * M, b.line.reach - b.line.height * M, 0.0)
            share = (M - a.M) / (b.M - a.M)
            above = math.sqrt(a.upper) * (1 - share) + math.sqrt(b.upper) * share
            if above**2 > below**2 * (1 + BETWEEN) + _NOTHING and b.M > a.M * (1 + BETWEEN):
                middle = self.at(M)
                knots.append(M)
                open_ += [(a, middle), (middle, b)]
        return knots

    def excess(self, M: float, error: float) -> float | None:
        """Returns error / E(M) - 1 (from the lower bound, so at most this much), None where the frontier is 0 within rounding."""
        point = self.at(M)
        return error / point.lower - 1 if point.lower > ZERO else None

    def price(self, error: float) -> float:
        """Returns a lower bound on ||w||_1 of every real SSM with this squared error or less: E's inverse, within 1e-3; never above 1e8.

        Newton's method on sqrt(E), which is convex: each line's own price is a bound, and the next M. Where the frontier is 0 a line says
        nothing, and the search halves.
        """
        if self.at(SMALLEST).lower <= error:
            return 0.0
        if self.at(LARGEST).lower > error:
            return LARGEST
        low, high = SMALLEST, LARGEST
        M = min(self._points, key=lambda M: abs(math.log((self._points[M].upper + ZERO) / (error + ZERO))))
        while high > low * (1 + 1e-3):
            found = self.at(M).line.price(error)
            low, high = max(low, found), min(high, M) if found < M else high
            if abs(found - M) <= 1e-3 * M:
                break
            M = found if found == low else math.sqrt(low * high)
        return low


class _Search:
    """The search at one M. State: the support, with its residual r (t,) and the height lam of |p| at its poles."""

    def __init__(self, phi: np.ndarray, M: float) -> None:
        self.phi, self.M, self.t = phi, M, len(phi)
        self._to_chebyshev = chebyshev.from_powers(self.t)

    def run(self, start: Support) -> Point:
        support, r, lam = start, self.phi, 0.0
        if len(start.w):
            support, r, lam = self._descend(start.scaled(self.M))
        upper, lower, idle = float(self.phi @ self.phi), 0.0, 0
        nearest, witness = support, r  # of the least error; of the largest bound
        for number in range(_ROUNDS):
            theta, p = chebyshev.maxima(self._to_chebyshev @ r)
            size, bound = float(r @ r), self._line(r, float(np.abs(p).max())).at(self.M)
            idle = 0 if size < upper * (1 - GAP) or bound > lower * (1 + GAP) else idle + 1
            if size <= upper:
                upper, nearest = size, support
            if bound >= lower:
                lower, witness = bound, r
            if upper <= max(lower * (1 + GAP), ZERO) or idle > _PATIENCE:
                break
            support = self._extended(support, theta, p, lam, moves=number % 3 == 2)
            support, r, lam = self._descend(support)
            support, r, lam = self._newton(support, r, lam)
        return Point(self.M, upper, self._line(witness, self._supremum(witness)), nearest)

    def _line(self, y: np.ndarray, sup: float) -> Line:
        norm = float(np.linalg.norm(y))
        return Line(float(self.phi @ y) / norm, sup / norm) if norm**2 > ZERO else Line(0.0, 0.0)

    def _supremum(self, y: np.ndarray) -> float:
        """sup |p| rounded upwards: what the search takes for it, the largest of the maxima that it found, proves nothing."""
        error = self.t * _ROUNDING * float(np.abs(y).sum())
        return chebyshev.supremum(self._to_chebyshev @ y, oversampling=2048, error=error)

    def _extended(self, support: Support, theta: np.ndarray, p: np.ndarray, lam: float, moves: bool) -> Support:
        """New poles at the maxima (theta, p) above the support's height; where one is near an old pole, that may move there instead."""
        size = np.abs(p)
        chosen = size >= (lam * (1 - 1e-9) if lam else 0.3 * size.max())
        if len(support.w) == self.t:  # full: the least of them makes room
            support = support.without(int(np.abs(support.w).argmin()))
        old, new = support.theta.copy(), []
        for angle, sign in zip(theta[chosen], np.sign(p[chosen]), strict=True):
            distance = np.where(support.sign == sign, np.abs(support.theta - angle), np.inf)
            if len(old) and distance.min() < 0.3 / self.t:
                old[distance.argmin()] = angle if moves else old[distance.argmin()]
            else:
                new.append((angle, sign))
        added = np.array(new[: self.t - len(old)]).reshape(-1, 2)
        w = np.append(support.w, np.zeros(len(added)))
        sign = np.append(support.sign, added[:, 1])
        if not len(support.w):
            w = sign * self.M / max(len(sign), 1)
        return Support(np.append(old, added[:, 0]), sign, w)

    def _descend(self, support: Support) -> tuple[Support, np.ndarray, float]:
        """The best weights on the poles, from feasible ones: straight to the optimum without signs, dropping who would change sign."""
        support = self._merged(support)
        while True:
            w, r, lam = self._optimum(support)
            wrong = w * support.sign <= 0
            if not wrong.any():
                return Support(support.theta, support.sign, w), r, lam
            gone = np.where(wrong, support.w / np.where(wrong & (support.w != w), support.w - w, 1.0), np.inf)
            step = gone.min()
            keep = gone > step * (1 + 1e-12)
            moved = support.w + step * (w - support.w)
            support = Support(support.theta[keep], support.sign[keep], moved[keep])

    def _merged(self, support: Support) -> Support:
        """Poles of one sign that are closer than two maxima of p can be become one."""
        order = np.argsort(support.theta)
        theta, sign, w = support.theta[order], support.sign[order], support.w[order]
        first = np.append(True, (np.diff(theta) > 0.3 / self.t) | (np.diff(sign) != 0))
        group = np.cumsum(first) - 1
        share = np.abs(w) + 1e-300
        centre = np.bincount(group, share * theta) / np.bincount(group, share)
        return Support(centre, sign[first], np.bincount(group, w))

    def _optimum(self, support: Support) -> tuple[np.ndarray, np.ndarray, float]:
        """Returns (w, r, lam): least ||r||, r = phi - V w, with sign . w = M, or without it where ||w||_1 would stay below (lam = 0).

        With V = Q R the optimum has V^T r = lam sign, so r = (1 - Q Q^T) phi + lam Q R^-T sign: accurate however large w is.
        """
        Q, R = np.linalg.qr(support.powers(self.t))
        b = Q.T @ self.phi
        h = _triangular(R, support.sign, transposed=True)
        lam = max(float(support.sign @ _triangular(R, b) - self.M) / float(h @ h), 0.0)
        w = _triangular(R, b - lam * h)
        return w, self.phi - Q @ b + lam * (Q @ h), lam

    def _newton(self, support: Support, r: np.ndarray, lam: float, steps: int = 8) -> tuple[Support, np.ndarray, float]:
        """Moves the poles to where p is stationary. Steps that raise the error or turn a weight's sign are shortened, then given up."""
        for _ in range(steps):
            if lam <= 0:
                break
            step = self._step(support, r, lam)
            for _ in range(6):
                theta = np.clip(support.theta + step, 0.0, np.pi)
                w, new, height = self._optimum(Support(theta, support.sign, support.w))
                if (w * support.sign > 0).all() and height > 0 and new @ new <= (r @ r) * (1 + 1e-14):
                    break
                step = step / 3
            else:
                break
            support, r, lam = Support(theta, support.sign, w), new, height
            if np.abs(step).max() < 1e-9:
                break
        return support, r, lam

    def _step(self, support: Support, r: np.ndarray, lam: float) -> np.ndarray:
        """Newton's step for w_j p'(theta_j) = 0, where r answers to the poles: d r = -P (w_j v'_j d theta_j), P onto what V leaves free.

        The matrix diag(-w p'') + (P U)^T (P U), U = (w_j v'_j), is positive definite at a maximum of |p|.
        """
        _, slope, curvature = chebyshev.derivatives(self._to_chebyshev @ r, support.theta)
        V, k = support.powers(self.t), np.arange(1, self.t)
        U = np.zeros_like(V)
        U[1:] = V[:-1] * k[:, None] * (-np.sin(support.theta) * support.w)
        Q, R = np.linalg.qr(V)
        h = Q @ _triangular(R, support.sign, transposed=True)
        h /= np.linalg.norm(h)
        free = U - Q @ (Q.T @ U)
        free += np.outer(h, h @ U) - Q @ (Q.T @ free)  # projected twice: w is large
        stiffness = np.maximum(-support.w * curvature, 1e-3 * lam * np.abs(support.w))
        step = np.linalg.solve(free.T @ free + np.diag(stiffness), support.w * slope)
        return step * min(1.0, 0.2 / self.t / max(np.abs(step).max(), 1e-300))


def _triangular(R: np.ndarray, b: np.ndarray, transposed: bool = False) -> np.ndarray:
    """Returns R^-1 b or R^-T b, R upper triangular, by LAPACK itself: SciPy's function checks longer than it solves."""
    x, singular = dtrtrs(R, b, trans=int(transposed))
    if singular:
        raise np.linalg.LinAlgError("two poles are one")
    return x
