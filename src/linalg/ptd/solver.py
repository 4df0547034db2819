"""The PTD solver: A_H + E = V Lambda V^-1 with small E, small kappa(V) and, by default, states that stay near S4's.

arXiv 2310.01698, Eq. 4 weighs kappa(V) against ||E||. The default objective adds what the paper wants of E, that the model
stays close to S4: log kappa + mu log d_worst at a given size (`response` defines d_worst and proves what it can be).
Objective 'cond' is kappa alone; its solutions are 4 to 16 times further from S4.

Gradients go through the eigendecomposition (`objective`). Spectral norms and the supremum over frequency are replaced by
p-norms with p = 16, 32, ... 256 in turn, and L-BFGS runs in rounds of 100 iterations. The start is normal (kappa = 1):
E = P P^T (S4D), or with a distance the one beside it that keeps the output e_0. A limit on the size is tightened by 0.7
whenever it is met and held by an augmented Lagrangian; eigenvalues right of the margin pay a quadratic penalty.

'cond': starts at random perturbations end within 1 % of the same kappa, and n = 16 to 128 lie on one curve
kappa(||E||_2 / ||A_H||_2). At its minimum most singular values of E are nearly equal and E is far from unique:
`frobenius_weight` adds 0.03 log ||E||_F to the constrained log ||E||_2, which halves ||E||_F for under 1 % of kappa at
the published sizes.
"""

from collections.abc import Callable

import numpy as np
from scipy.optimize import minimize

from ..hippo import Float, legs
from .objective import Eigensystem, log_schatten
from .perturbation import Complex, Perturbation, decoupled, diagonalise, random_perturbation, rank1
from .published import solve_published
from .response import FLOOR, Response
from .smooth import Coordinates, Merit, Smooth
from .spec import Spec

HALVES = (8, 16, 32, 64, 128)  # p / 2 of the Schatten norms, in turn
ROUND = 100  # iterations of L-BFGS with one multiplier
SHRINK = 0.7  # of the allowed norm, while it is above the one asked for
MET = 0.02  # a norm this much above the allowed one, relative, counts as met while tightening
PATIENCE = 6  # rounds that may miss it and end early; then a fresh start, with any spectrum (A_H's is real)
SLACK = 2e-4  # the solver aims this much below the size asked for, so that the result does not exceed it
STABILITY = (
    10.0  # first weight of the penalty on (Re(lambda) - border)_+^2 / ||E||^2; times 4 after a round that violates
)
EARLY_MU = (
    0.15  # least weight of log d_worst at the first p: kappa alone leads to basins that the distance does not leave
)
PULL = {"cond": 1.2, "distance": 1.02}  # border / -margin: a penalty gives way a little

Progress = Callable[[str], None]


def solve(spec: Spec, start: Perturbation | None = None, progress: Progress | None = None) -> Perturbation:
    """Returns the best perturbation found for `spec`; deterministic.

    Args:
        spec: what to solve.
        start: a solution of the same n to start from (not for objective 'published').
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
    start = start or (decoupled if spec.objective == "distance" else rank1)(spec.n)
    solver = _Solver(spec, start)
    if solver.optimal(start):
        return start
    return solver.run(progress or (lambda line: None))


class _Solver:
    def __init__(self, spec: Spec, start: Perturbation) -> None:
        self.spec = spec
        self.A = legs(spec.n)[0]
        self.near = spec.objective == "distance"
        self.E = start.E.real.copy() if spec.real else start.E.astype(np.complex128)
        if not spec.real and start.is_real:  # leave the real matrices, which a symmetric gradient never would
            generator = np.random.default_rng(spec.seed)
            noise = generator.standard_normal(self.E.shape) + 1j * generator.standard_normal(self.E.shape)
            self.E += 0.01 * np.linalg.norm(self.E) / spec.n * noise
        self._keep_first_output()
        self.goal = None if spec.size is None else (1 - SLACK) * spec.size * self._norm(self.A)
        self.merit = Merit(spec.gamma, spec.frobenius_weight if spec.norm == "spectral" and not self.near else 0.0)
        self.stability = STABILITY
        keep = spec.real and spec.pairs
        self.real_eigenvalues = np.count_nonzero(np.linalg.eigvals(self.A + self.E).imag == 0) if keep else spec.n
        self.iterations = 0

    def optimal(self, start: Perturbation) -> bool:
        """Whether the start is within the size asked for and normal (kappa = 1), which nothing improves."""
        if (
            self.near
            or self.goal is None
            or start.cond > 1 + 1e-9
            or start.max_real > -self.spec.least_decay * (1 - 1e-9)
        ):
            return False
        return self._norm(start.E) <= self.goal

    def run(self, progress: Progress) -> Perturbation:
        stage, last, stalled = 0, np.inf, 0
        allowed = None if self.goal is None else max(self.goal, SHRINK * self._norm(self.E))
        for number in range(1, self.spec.max_rounds + 1):
            before = self.iterations
            self.mu = self._weight(stage)
            excess = self._round(allowed, HALVES[stage])
            found = self._solution(converged=False)
            progress(_line(number, 2 * HALVES[stage], found, self._gap(found)))
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
        self._keep_first_output()
        self.merit.multiplier = Merit.multiplier

    def _keep_first_output(self) -> None:
        """With a distance row 0 of E is zero, so that the output e_0 stays S4's."""
        if self.near:
            self.E[0] = 0.0

    def _weight(self, stage: int) -> float:
        """Returns the weight of log d_worst at a stage."""
        mu = self.spec.weight_of_distance
        return max(mu, EARLY_MU) if self.near and stage == 0 else mu

    def _norm(self, X: Float | Complex) -> float:
        return float(np.linalg.norm(X, 2 if self.spec.norm == "spectral" else "fro"))

    def _solution(self, converged: bool) -> Perturbation:
        found = diagonalise(self.E)
        return Perturbation(found.E, found.Lambda, found.V, found.Vinv, self.iterations, converged)

    def _exact_merit(self, found: Perturbation) -> float:
        if self.goal is None:
            return float(np.log(found.cond + self.spec.gamma * self._norm(found.E)))
        value = np.log(found.cond) + self.merit.frobenius_weight * np.log(np.linalg.norm(found.E))
        if self.near:
            value += self.mu * np.log(self._gap(found) + FLOOR / found.n)
        return float(value)

    def _gap(self, found: Perturbation) -> float | None:
        """Returns d_worst on the grid, None for an objective without it."""
        if not self.near:
            return None
        return self._response().largest_gap(Eigensystem(found.Lambda, found.V, found.Vinv, found.is_real))

    def _response(self) -> Response | None:
        """Returns the distance on frequencies that suit the present poles, None for an objective without it."""
        return Response.around(np.linalg.eigvals(self.A + self.E), self.spec.real) if self.near else None

    def _feasible(self, found: Perturbation) -> bool:
        small = self.goal is None or self._norm(found.E) <= self.goal / (1 - SLACK)
        return small and self._stable(found)

    def _stable(self, found: Perturbation) -> bool:
        return found.max_real <= -self.spec.least_decay

    def _round(self, allowed: float | None, half: int) -> float:
        """Runs one round, moves E and the multiplier; returns log(||E|| / allowed) in the smooth norm, 0 when unlimited."""
        half_norm = half if self.spec.norm == "spectral" else 1
        if allowed is not None:  # what the smooth norm may be for the true one to be `allowed`
            self.merit.limit = np.log(allowed / self._norm(self.E)) + log_schatten(self.E, half_norm).value
        smooth = Smooth(
            A=self.A,
            coordinates=Coordinates.of(self.E, keep_first_output=self.near),
            half=half,
            half_norm=half_norm,
            border=-PULL[self.spec.objective] * self.spec.least_decay,
            stability=self.stability,
            unit=float(np.linalg.norm(self.E, 2)),
            merit=self.merit,
            real_eigenvalues=self.real_eigenvalues,
            mu=self.mu,
            response=self._response(),
        )
        options = {"maxiter": ROUND, "maxcor": 30, "maxfun": 2 * ROUND, "ftol": 1e-11}
        result = minimize(smooth, smooth.coordinates.x(self.E), jac=True, method="L-BFGS-B", options=options)
        self.iterations += result.nit
        self.E = smooth.coordinates.E(result.x)
        if allowed is None:
            return 0.0
        log_norm = log_schatten(self.E, half_norm).value
        self.merit.update(log_norm)
        return log_norm - self.merit.limit


def _line(number: int, p: int, found: Perturbation, gap: float | None) -> str:
    return (
        f"round {number:3d}  p {p:3d}  iterations {found.iterations:5d}  cond {found.cond:9.4f}  "
        f"||E||/||A|| {found.size:.5f}  max Re {found.max_real:.3f}"
        f"{'' if gap is None else f'  d_worst {gap:.5f}'}"
    )
