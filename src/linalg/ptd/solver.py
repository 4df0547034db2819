"""The PTD solver: minimise kappa(V) against ||E|| over A_H + E = V Lambda V^-1 (arXiv 2310.01698, Eq. 4).

Gradients go through the eigendecomposition (`objective`). Both spectral norms are replaced by Schatten norms with
p = 16, 32, ... 256 in turn, and L-BFGS runs in rounds of 100 iterations. The start is E = P P^T (kappa = 1, S4D) or a
given solution; a limit on the size is tightened by 0.7 whenever it is met and held by an augmented Lagrangian;
eigenvalues right of 1.2 times the margin pay a quadratic penalty.

Starts at random perturbations end within 1 % of the same kappa, and n = 16 to 128 lie on one curve
kappa(||E||_2 / ||A_H||_2). At its minimum most singular values of E are nearly equal and E is far from unique:
`frobenius_weight` adds 0.03 log ||E||_F to the constrained log ||E||_2, which halves ||E||_F for under 1 % of kappa at
the published sizes.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize

from ..hippo import Float, legs
from .objective import Eigensystem, log_schatten, log_smooth_cond
from .perturbation import Complex, Perturbation, diagonalise, random_perturbation, rank1
from .published import solve_published
from .spec import Spec

HALVES = (8, 16, 32, 64, 128)  # p / 2 of the Schatten norms, in turn
ROUND = 100  # iterations of L-BFGS with one multiplier
SHRINK = 0.7  # of the allowed norm, while it is above the one asked for
MET = 0.02  # a norm this much above the allowed one, relative, counts as met while tightening
PATIENCE = 6  # rounds that may miss it and end early; then a fresh start, with any spectrum (A_H's is real)
SLACK = 2e-4  # the solver aims this much below the size asked for, so that the result does not exceed it
RHO = 10.0  # of the augmented Lagrangian; the multiplier itself is the frontier's slope, about 0.8
STABILITY = 10.0  # first weight of sum of (Re(lambda) + 1.2 margin)_+^2 / ||E||^2; times 4 after a round that violates
_REJECTED = 100.0  # stands for the value at a point that is not allowed; values are logarithms, of the order of 1

Progress = Callable[[str], None]


@dataclass
class Merit:
    """The scalar that is minimised, a function of log kappa, log ||E|| and log ||E||_F.

    Fixed gamma: log(kappa + gamma ||E||). Limited size: log kappa plus the augmented Lagrangian of
    log ||E|| <= limit, plus frobenius_weight * multiplier * log ||E||_F.
    """

    gamma: float | None
    frobenius_weight: float = 0.0
    limit: float = 0.0
    multiplier: float = 0.8

    def __call__(self, log_cond: float, log_norm: float, log_frobenius: float) -> tuple[float, float, float, float]:
        """Returns the value and its derivatives with respect to the three arguments."""
        if self.gamma is not None:
            term = np.log(self.gamma) + log_norm
            value = np.logaddexp(log_cond, term)
            return value, np.exp(log_cond - value), np.exp(term - value), 0.0
        slope = max(0.0, self.multiplier + RHO * (log_norm - self.limit))
        weight = self.frobenius_weight * self.multiplier
        return log_cond + (slope**2 - self.multiplier**2) / (2 * RHO) + weight * log_frobenius, 1.0, slope, weight

    def update(self, log_norm: float) -> None:
        """Moves the multiplier after a round."""
        self.multiplier = float(np.clip(self.multiplier + RHO * (log_norm - self.limit), 0.0, 3.0))


@dataclass(frozen=True)
class Smooth:
    """The smooth objective over x = E / unit, flat, with real and imaginary parts side by side when E is complex."""

    A: Float
    unit: float
    real: bool
    half: int  # p / 2 for kappa
    half_norm: int  # p / 2 for ||E||; 1 is the Frobenius norm
    margin: float
    stability: float  # weight of the penalty that keeps the spectrum left of -margin
    merit: Merit
    real_eigenvalues: int  # how many A_H + E may have

    def E(self, x: Float) -> Float | Complex:
        """Returns E, shape (n, n), of the flat x."""
        n = len(self.A)
        return self.unit * x.view(np.float64 if self.real else np.complex128).reshape(n, n)

    def x(self, E: Float | Complex) -> Float:
        """Returns the flat x of E."""
        return np.ascontiguousarray(E / self.unit).ravel().view(np.float64)

    def __call__(self, x: Float) -> tuple[float, Float]:
        """Returns the objective and its gradient."""
        E = self.E(x)
        try:
            system = Eigensystem.of(self.A + E)
        except np.linalg.LinAlgError:
            return _REJECTED, np.zeros_like(x)
        if (
            np.count_nonzero(system.Lambda.imag == 0) > self.real_eigenvalues
        ):  # jumped a collision, where kappa is infinite
            return _REJECTED, np.zeros_like(x)
        cond, norm, frobenius = log_smooth_cond(system, self.half), log_schatten(E, self.half_norm), np.linalg.norm(E)
        value, to_cond, to_norm, to_frobenius = self.merit(cond.value, norm.value, np.log(frobenius))
        excess = np.maximum(0.0, system.Lambda.real + 1.2 * self.margin) / self.unit
        value += self.stability * np.sum(excess**2)
        gradient = system.pull_back(to_cond * cond.gradient, 2 * self.stability / self.unit * excess)
        gradient = gradient + to_norm * norm.gradient + to_frobenius / frobenius**2 * E
        if not (np.isfinite(value) and np.isfinite(gradient).all()):
            return _REJECTED, np.zeros_like(x)
        return float(value), np.ascontiguousarray(self.unit * gradient).ravel().view(np.float64)


def solve(spec: Spec, start: Perturbation | None = None, progress: Progress | None = None) -> Perturbation:
    """Returns the best perturbation found for `spec`; deterministic.

    Args:
        spec: what to solve.
        start: a solution of the same n to start from (objective 'cond' only).
        progress: called with one line of text after every round.

    Returns:
        A `Perturbation`. `converged` is true when at the last and sharpest norm a round improved the objective by less
        than `spec.tol`, relative, with the size not above the one asked for and the spectrum left of -margin.
    """
    if spec.n == 1:  # already diagonal
        one = np.ones((1, 1), dtype=np.complex128)
        return Perturbation(np.zeros((1, 1)), -np.ones(1, dtype=np.complex128), one, one)
    if spec.objective == "published":
        return solve_published(spec, progress)
    start = start or rank1(spec.n)
    solver = _Solver(spec, start)
    if solver.optimal(start):
        return start
    return solver.run(progress or (lambda line: None))


class _Solver:
    def __init__(self, spec: Spec, start: Perturbation) -> None:
        self.spec = spec
        self.A = legs(spec.n)[0]
        self.E = start.E.real if spec.real else start.E.astype(np.complex128)
        if not spec.real and start.is_real:  # leave the real matrices, which a symmetric gradient never would
            generator = np.random.default_rng(spec.seed)
            noise = generator.standard_normal(self.E.shape) + 1j * generator.standard_normal(self.E.shape)
            self.E += 0.01 * np.linalg.norm(self.E) / spec.n * noise
        self.goal = None if spec.size is None else (1 - SLACK) * spec.size * self._norm(self.A)
        self.merit = Merit(spec.gamma, spec.frobenius_weight if spec.norm == "spectral" else 0.0)
        self.stability = STABILITY
        keep = spec.real and spec.pairs
        self.real_eigenvalues = np.count_nonzero(start.Lambda.imag == 0) if keep else spec.n
        self.iterations = 0

    def optimal(self, start: Perturbation) -> bool:
        """Whether the start is within the size asked for and normal (kappa = 1), which nothing improves."""
        if self.goal is None or start.cond > 1 + 1e-9 or start.max_real > -self.spec.margin * (1 - 1e-9):
            return False
        return self._norm(start.E) <= self.goal

    def run(self, progress: Progress) -> Perturbation:
        stage, last, stalled = 0, np.inf, 0
        allowed = None if self.goal is None else max(self.goal, SHRINK * self._norm(self.E))
        for number in range(1, self.spec.max_rounds + 1):
            before = self.iterations
            excess = self._round(allowed, HALVES[stage])
            found = self._solution(converged=False)
            progress(_line(number, 2 * HALVES[stage], found))
            self.stability = min(1e6, self.stability * (1.0 if self._stable(found) else 4.0))
            stuck = excess >= MET and self.iterations - before < ROUND
            stalled = stalled + 1 if stuck else 0
            if stalled == PATIENCE:
                self._start_at_random()
                allowed = self.goal
                continue
            if allowed is not None and allowed > self.goal:
                allowed = max(self.goal, SHRINK * allowed) if excess < MET else allowed
                continue
            value = self._exact_merit(found)
            if last - value < self.spec.tol and self._feasible(found):
                stage, value = stage + 1, np.inf
                if stage == len(HALVES):
                    return self._solution(converged=True)
            last = value
        return found

    def _start_at_random(self) -> None:
        """Puts E at a random matrix of the norm asked for; real eigenvalues are then as good as pairs."""
        self.real_eigenvalues = self.spec.n
        E = random_perturbation(self.spec.n, 1.0, self.spec.seed, self.spec.real).E
        self.E = self.goal / self._norm(E) * E
        self.merit.multiplier = Merit.multiplier

    def _norm(self, X: Float | Complex) -> float:
        return float(np.linalg.norm(X, 2 if self.spec.norm == "spectral" else "fro"))

    def _solution(self, converged: bool) -> Perturbation:
        found = diagonalise(self.E)
        return Perturbation(found.E, found.Lambda, found.V, found.Vinv, self.iterations, converged)

    def _exact_merit(self, found: Perturbation) -> float:
        if self.goal is None:
            return float(np.log(found.cond + self.spec.gamma * self._norm(found.E)))
        return float(np.log(found.cond) + self.merit.frobenius_weight * np.log(np.linalg.norm(found.E)))

    def _feasible(self, found: Perturbation) -> bool:
        small = self.goal is None or self._norm(found.E) <= self.goal / (1 - SLACK)
        return small and self._stable(found)

    def _stable(self, found: Perturbation) -> bool:
        return found.max_real <= -self.spec.margin

    def _round(self, allowed: float | None, half: int) -> float:
        """Runs one round, moves E and the multiplier; returns log(||E|| / allowed) in the smooth norm, 0 when unlimited."""
        half_norm = half if self.spec.norm == "spectral" else 1
        if allowed is not None:  # what the smooth norm may be for the true one to be `allowed`
            self.merit.limit = np.log(allowed / self._norm(self.E)) + log_schatten(self.E, half_norm).value
        unit = float(np.linalg.norm(self.E, 2))
        margin, weight = self.spec.margin, self.stability
        smooth = Smooth(
            self.A, unit, self.spec.real, half, half_norm, margin, weight, self.merit, self.real_eigenvalues
        )
        options = {"maxiter": ROUND, "maxcor": 30, "maxfun": 2 * ROUND, "ftol": 1e-11}
        result = minimize(smooth, smooth.x(self.E), jac=True, method="L-BFGS-B", options=options)
        self.iterations += result.nit
        self.E = smooth.E(result.x)
        if allowed is None:
            return 0.0
        log_norm = log_schatten(self.E, half_norm).value
        self.merit.update(log_norm)
        return log_norm - self.merit.limit


def _line(number: int, p: int, found: Perturbation) -> str:
    return (
        f"round {number:3d}  p {p:3d}  iterations {found.iterations:5d}  cond {found.cond:9.4f}  "
        f"||E||/||A|| {found.size:.5f}  max Re {found.max_real:.3f}"
    )
