"""The distance of S4-PTD from S4 for the worst output: sup over real w and unit C of |G_PTD(iw) - G_DPLR(iw)|, B of norm 1.

For a given w the worst C points along the difference of the states, so the supremum is that of
|| (iw - A_H - E)^-1 b - (iw - A_H)^-1 b ||_2, b = B_H / ||B_H||. Theorem 3 of arXiv 2310.01698 bounds it.
"""

import numpy as np

from .distance import Supremum, sup_on_axis
from .hippo import Float, legs
from .nplr import Complex
from .transfer import Array, state_response


def legs_state(n: int, s: Complex) -> Complex:
    """Returns (sI - A_H)^-1 B_H for every s, shape (n, s.size), in closed form (see `legs_transfer`)."""
    s = np.asarray(s, dtype=np.complex128).ravel()
    state, product = np.empty((n, s.size), dtype=np.complex128), np.ones_like(s)
    for k in range(n):
        state[k] = np.sqrt(2.0 * k + 1.0) * product / (s + (k + 1))
        product = product * ((s - k) / (s + (k + 1)))
    return state


def perturbed_state(E: Array, s: Complex) -> Complex:
    """Returns (sI - A_H - E)^-1 B_H for every s, shape (n, s.size)."""
    A, B = legs(len(E))
    return state_response(A + np.asarray(E), B)(s)


def worst_distance(E: Array) -> Supremum:
    """Returns the supremum for a perturbation E, shape (n, n), and the frequency where it is taken."""
    n = len(E)
    A, B = legs(n)

    state = state_response(A + np.asarray(E), B)

    def gap(s: Complex) -> Float:
        return (np.linalg.norm(state(s) - legs_state(n, s), axis=0) / np.linalg.norm(B)).reshape(np.shape(s))

    poles = np.linalg.eigvals(A + E).astype(complex)
    return sup_on_axis(gap, np.concatenate([poles, -np.arange(1.0, n + 1.0)]))
