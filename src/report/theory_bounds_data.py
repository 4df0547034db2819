"""The numbers behind the pictures of P2's statements (arXiv 2410.14067): each function returns one `Table`, the picture's CSV."""

import math
from fractions import Fraction

import numpy as np

from ..tables import Table
from ..theory import bounds
from ..theory.few_states import SMALLEST_ANGLE, enough_states
from ..theory.price import price
from ..theory.solutions import Solution, proposition1, proposition3
from ..theory.targets import TASKS, raw_target, target

LENGTHS = (4, 8, 16, 32, 64)
LONGER = (8, 16, 32, 64, 128, 256, 512, 1024)
DESCENT = {"n": 32, "t": 32, "steps": 2000, "rows": 40}
QUANTISED_T, BITS, DRAWS = 16, range(4, 25, 2), 200
THEOREM1_T, THEOREM1_EPS = (90, 180, 360, 720, 1350, 2700, 5400), 0.03125


def chebyshev_poles(t: int) -> np.ndarray:
    """The t zeros of T_t as exact rationals of their float64 values."""
    return np.array([Fraction(math.cos(math.pi * (2 * j + 1) / (2 * t))) for j in range(t)], dtype=object)


def exact_real(task: str, t: int) -> tuple[np.ndarray, np.ndarray]:
    """(poles, weights) of the real SSM of t states that equals the target of unit norm exactly, rationals (t,)."""
    phi = np.array([Fraction(x) for x in target(task, t).tolist()], dtype=object)
    poles = chebyshev_poles(t)
    return poles, proposition1(poles, phi)


def sizes() -> Table:
    """Propositions 1 and 3: n = t states answer any target exactly in both fields; what size the parameters have."""
    rows = []
    for task in TASKS:
        for t in LENGTHS:
            _, w = exact_real(task, t)
            phi = target(task, t)
            complex_ = np.abs(proposition3(phi).B * proposition3(phi).C)
            least = price(phi, 2.0**-52 * float(np.abs(phi).sum()))
            row = [float(sum(abs(w))), t * float(max(abs(w))), least, float(complex_.sum()), t * float(complex_.max())]
            rows.append([TASKS[task].title, t, *row])
    columns = ["target", "t", "real ||w||_1", "real n max|CB|", "least ||w||_1", "complex ||w||_1", "complex n max|CB|"]
    return Table(columns, rows)


def explicit() -> Table:
    """Proposition 3: the explicit complex solution in float64, its error and its norms beside their bounds."""
    rows = []
    for task in TASKS:
        for t in LONGER:
            phi = target(task, t)
            solution = proposition3(phi)
            error = float(np.abs(solution.response(t) - phi).sum())
            B, C = float(np.linalg.norm(solution.B)), float(np.linalg.norm(solution.C))
            rows.append([TASKS[task].title, t, error, B, 2 * float(np.linalg.norm(phi)), C, 1.0])
    return Table(["target", "t", "L1 error", "||B||_2", "its bound", "||C||_2", "bound of ||C||_2"], rows)


def descent() -> Table:
    """Proposition 4: growth of the largest parameter of a real SSM in gradient descent, against its bound, step by step."""
    rows = []
    for task in TASKS:
        rows += [[TASKS[task].title, *row] for row in _descent(raw_target(task, DESCENT["t"]))]
    return Table(["target", "step", "loss", "growth", "bound", "c1", "c2"], rows)


def _descent(phi: np.ndarray) -> list[list[float]]:
    """Rows (step, loss, growth, bound, c1, c2); poles fixed, steps of half of what the curvature allows."""
    rng, n, t = np.random.default_rng(0), DESCENT["n"], DESCENT["t"]
    V = np.power.outer(rng.uniform(-1, 1, n), np.arange(t)).T
    B, C = 0.1 * rng.normal(size=(2, n))
    loss0, start = float(np.sum((V @ (B * C) - phi) ** 2)), max(np.abs(B).max(), np.abs(C).max())
    c1, c2, rows = 0.0, 1.0, []
    for step in range(1, DESCENT["steps"] + 1):
        error = V @ (B * C) - phi
        J = np.concatenate([V * C, V * B], axis=1)
        eta = 0.5 / np.linalg.norm(J, 2) ** 2
        c1 = max(c1, (eta * max(np.abs(B).max(), np.abs(C).max())) ** 2)
        c2 = max(c2, float(error @ error) / loss0)
        B, C = np.split(np.concatenate([B, C]) - eta * 2 * J.T @ error, 2)
        if step % (DESCENT["steps"] // DESCENT["rows"]) == 0:
            growth = float(max(np.abs(B).max(), np.abs(C).max()) - start)
            rows.append([step, float(error @ error), growth, bounds.proposition4(step, t, loss0, c1, c2), c1, c2])
    return rows


def quantisation() -> Table:
    """Proposition 5: L1 error after each entry of A, B, C is drawn from an interval of relative width 2^(1 - bits), medians of draws.

    least: at a smaller median error the probability of being within it would exceed Proposition 5's bound.
    """
    rows = []
    for task in TASKS:
        phi = target(task, QUANTISED_T)
        poles, w = exact_real(task, QUANTISED_T)
        root = np.sqrt(np.abs(w.astype(float)))
        real = Solution(poles.astype(float), np.sign(w.astype(float)) * root, root)
        largest = float(max(abs(w)))
        for bits in BITS:
            q = 2.0 ** (1 - bits)
            least = q * largest / 4 * (q / 2) / math.atanh(q / 2)
            medians = [_median_error(system, phi, q) for system in (real, proposition3(phi))]
            rows.append([TASKS[task].title, QUANTISED_T, bits, *medians, least, largest])
    return Table(["target", "t", "bits", "real", "complex", "least, real", "max|CB|, real"], rows)


def _median_error(system: Solution, phi: np.ndarray, q: float) -> float:
    rng = np.random.default_rng(0)
    errors = []
    for _ in range(DRAWS):
        drawn = Solution(*[_drawn(x, q, rng) for x in system])
        errors.append(float(np.abs(drawn.response(len(phi)) - phi).sum()))
    return float(np.median(errors))


def _drawn(x: np.ndarray, q: float, rng: np.random.Generator) -> np.ndarray:
    """Every entry (real and imaginary part) uniform on an interval of relative width q around it."""
    if np.iscomplexobj(x):
        return _drawn(x.real, q, rng) + 1j * _drawn(x.imag, q, rng)
    return x * (1 + q * rng.uniform(-0.5, 0.5, x.shape))


def states() -> Table:
    """Theorem 1 at its smallest angle: what is printed, what is proved, what Lemma 4 gives for this target, and what is enough."""
    rows = []
    for t in THEOREM1_T:
        k = np.arange(t)
        phi = 0.5 ** (k / t) * np.cos(SMALLEST_ANGLE * (k - (t - 1) / 2))
        printed, proved = bounds.theorem1_as_printed(t, THEOREM1_EPS), bounds.theorem1(t, THEOREM1_EPS)
        lemma4, enough = bounds.least_states(phi, THEOREM1_EPS), enough_states(t, THEOREM1_EPS)
        rows.append([t, THEOREM1_EPS, printed, proved, lemma4, enough, SMALLEST_ANGLE / 2 * t])
    columns = ["t", "eps", "as printed", "corrected", "Lemma 4", "enough", "limit of enough"]
    return Table(columns, rows)
