"""How far apart two systems are: sup-norm over frequency, L2 norm of responses, and the bound of Theorem 3.

P1 = arXiv 2310.01698 (Yu et al.) measures Diag (S4D) and PTD (S4-PTD) against DPLR (S4). Theorem 1: for a decaying
input the L2 distance of the responses falls like 1/n. Theorem 2: for the unit impulse it does not fall at all. Theorem
3: a perturbation E moves the transfer function by O(||E|| log n), uniformly in the frequency.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.linalg import block_diag, solve_continuous_lyapunov

from .hippo import Float
from .nplr import Complex
from .search import maximise
from .transfer import System, transfer_function


class Supremum(NamedTuple):
    """The largest value over all real frequencies, and where it is taken (infinity: in the limit)."""

    value: float
    frequency: float  # radians per unit of time


def sup_distance(first: System, second: System) -> Supremum:
    """Returns sup over real w of |G1(iw) - G2(iw)|: the operator norm of the difference, L2 input to L2 output.

    Of the two frequencies +w and -w at which the supremum of real systems is taken, the positive one is returned.
    """
    G1, G2 = transfer_function(first), transfer_function(second)
    value, frequency = sup_on_axis(lambda s: G1(s) - G2(s), np.concatenate([first.poles, second.poles]))
    at_infinity = abs(first.D - second.D)
    if value < at_infinity:
        return Supremum(at_infinity, np.inf)
    return Supremum(value, abs(frequency) if first.is_real and second.is_real else frequency)


def sup_on_axis(G: Callable[[Complex], Complex], poles: Complex) -> Supremum:
    """Returns sup over real w of |G(iw)| for a rational G with the given poles.

    A pole a + ib makes a peak of width |a| at w = b, so the grid has points around every b, spaced in units of |a|,
    besides a logarithmic grid of both signs. Golden-section search then refines every local maximum of the grid within
    a factor 2 of the largest.
    """
    gain = lambda w: np.abs(G(1j * w))
    w = _frequency_grid(poles)
    value = gain(w)
    inner = (value[1:-1] >= value[:-2]) & (value[1:-1] >= value[2:]) & (value[1:-1] >= value.max() / 2)
    peaks = np.flatnonzero(inner) + 1
    if not len(peaks):
        return Supremum(float(value.max()), float(w[value.argmax()]))
    place, height = maximise(gain, w[peaks - 1], w[peaks + 1])
    best = height.argmax()
    return Supremum(float(height[best]), float(place[best]))


def l2_distance(first: System, second: System, decay: float | None = None) -> float:
    """Returns the L2 norm over t > 0 of the difference of two responses from rest, exactly.

    The input is the unit impulse, or exp(-decay t) when `decay` is given. The difference is the impulse response of one
    stacked system (A, B, C), whose squared norm is C X C^* with A X + X A^* + B B^* = 0. Costs O((n1 + n2)^3).

    Raises:
        ValueError: a system or the input is not stable, or the impulse response holds a delta (D1 != D2).
    """
    A = block_diag(_dense(first), _dense(second))
    B = np.concatenate([first.B, second.B])
    C = np.concatenate([first.C, -second.C])
    D = first.D - second.D
    if decay is not None:  # put the filter 1 / (s + decay), whose impulse response is the input, in front
        A = np.block([[A, B[:, None]], [np.zeros((1, len(B))), np.array([[-decay]])]])
        B, C, D = np.eye(1, len(B) + 1, len(B))[0], np.append(C, D), 0.0
    if D != 0:
        raise ValueError(
            "the responses to an impulse differ by a multiple of the impulse: their L2 distance is infinite"
        )
    if np.linalg.eigvals(A).real.max() >= 0:
        raise ValueError("the L2 norm needs stable systems and a decaying input")
    X = solve_continuous_lyapunov(A, -np.outer(B, B.conj()))
    return float(np.sqrt(max((C @ X @ C.conj()).real, 0.0)))


def normalised(system: System) -> System:
    """Returns the system with B and C of Euclidean norm 1 and D = 0: the normalisation of Theorem 3."""
    return System(system.A, system.B / np.linalg.norm(system.B), system.C / np.linalg.norm(system.C))


def theorem3_bound(n: int, eps: float) -> float:
    """Returns (2 ln n + 4) eps, the first-order bound of Theorem 3 on |G_PTD(iw) - G_DPLR(iw)| for ||E||_2 = eps.

    It holds for B and C of norm 1 (`normalised`). Compare `resolvent_bound`, which holds to all orders.
    """
    return (2.0 * np.log(n) + 4.0) * eps


def resolvent_bound(eps: float) -> float:
    """Returns 4 eps / (1 - 2 eps), a bound of |G_PTD(iw) - G_DPLR(iw)| for every n, infinite from eps = 1/2 on.

    A_H + A_H^T = -I - B_H B_H^T, so the numerical range of A_H lies in Re z <= -1/2 and its resolvent has norm at most
    2 on the imaginary axis; that of A_H + E then has norm at most 2 / (1 - 2 eps). The difference of the two is R E R'.
    It holds for B and C of norm 1 and, with eps < 1/2, proves that A_H + E is stable. Not from the paper.
    """
    return 4.0 * eps / (1.0 - 2.0 * eps) if eps < 0.5 else np.inf


def _dense(system: System) -> np.ndarray:
    return np.diag(system.A) if system.A.ndim == 1 else system.A


def _frequency_grid(poles: Complex) -> Float:
    """Returns sorted frequencies: 0, a logarithmic grid of both signs, and 33 points around every pole."""
    spread = np.sinh(np.linspace(-4.0, 4.0, 33))
    around = (poles.imag[:, None] + np.abs(poles.real)[:, None] * spread).ravel()
    size = np.abs(poles)
    smallest = size[size > 0].min(initial=1.0)
    logarithmic = np.geomspace(1e-3 * smallest, 1e2 * max(size.max(), smallest), 400)
    return np.unique(np.concatenate([-logarithmic, [0.0], logarithmic, around]))
