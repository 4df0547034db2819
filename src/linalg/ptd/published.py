"""The published PTD solver: Adam on kappa(V)^2 + delta ||E||_F over a dense complex E.

As in the code of arXiv 2310.01698: E starts with real and imaginary parts uniform in [0, 0.1], gradients go through
`eig`, no constraint on the spectrum. The published runs use lr 1e-5 and 100,000 iterations (ablation) or lr 0.1 and
3000 (robustness); lr 3e-3 reaches the minimum of this objective in a few thousand for delta of 1e4 and more.
"""

from collections.abc import Callable

import numpy as np

from ..hippo import legs
from .objective import cond_plus_frobenius
from .perturbation import Complex, Perturbation, diagonalise
from .spec import Spec

WINDOW = 200  # iterations between two looks at the objective
BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8  # Adam's usual settings, which the published code leaves as they are


def initial_E(n: int, seed: int) -> Complex:
    """Returns the published start, shape (n, n)."""
    generator = np.random.default_rng(seed)
    return 0.1 * (generator.random((n, n)) + 1j * generator.random((n, n)))


def solve_published(spec: Spec, progress: Callable[[str], None] | None = None) -> Perturbation:
    """Returns the E of the lowest objective seen; `converged` when 200 iterations lowered that by less than tol/10.

    Adam keeps the moments of real and imaginary parts apart, as torch does for a complex tensor.
    """
    A = legs(spec.n)[0]
    E = initial_E(spec.n, spec.seed)
    mean, square = np.zeros((2, *E.shape)), np.zeros((2, *E.shape))
    best, best_E, last = np.inf, E, np.inf
    for i in range(1, spec.max_iterations + 1):
        value, gradient = cond_plus_frobenius(E, A, spec.delta)
        if value < best:
            best, best_E = value, E
        parts = np.stack([gradient.real, gradient.imag])
        mean = BETA1 * mean + (1 - BETA1) * parts
        square = BETA2 * square + (1 - BETA2) * parts**2
        move = mean / (1 - BETA1**i) / (np.sqrt(square / (1 - BETA2**i)) + EPSILON)
        E = E - spec.lr * (move[0] + 1j * move[1])
        if i % WINDOW == 0:
            if progress:
                progress(f"iteration {i:6d}  objective {best:.6g}")
            if last - best < 0.1 * spec.tol * best:
                return _finished(best_E, i, True)
            last = best
    return _finished(best_E, spec.max_iterations, False)


def _finished(E: Complex, iterations: int, converged: bool) -> Perturbation:
    found = diagonalise(E)
    return Perturbation(found.E, found.Lambda, found.V, found.Vinv, iterations, converged)
