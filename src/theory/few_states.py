"""Real SSMs with few states and huge weights that come close to one complex state: what no bound on n_R can exceed.

With poles a_j = rho e^(-j delta), j < n, a real SSM has K_k = rho^k Q(e^(-k delta)) for any polynomial Q of degree n - 1: its coefficients
are the weights. So K_k = rho^k P(x_k) for any P of degree n - 1 in x_k, an affine function of e^(-k delta), which for small delta is as
good as linear in k, from 1 at k = 0 to -1 at k = t - 1. With the first n terms of the Chebyshev series of a sine or cosine,

    cos(z x) = J_0(z) + 2 sum_i (-1)^i J_2i(z) T_2i(x),    sin(z x) = 2 sum_i (-1)^i J_(2i+1)(z) T_(2i+1)(x),    z = (t - 1) angle / 2,

K follows rho^k cos(angle (k - (t - 1) / 2)) or the sine. J_j(z) vanishes fast once j > z: about t angle / 2 states are enough. At P2's
smallest angle, arcsin 0.2, that is 0.1007 t: below the t / 9 that Theorem 1 (arXiv 2410.14067) prints.
"""

import numpy as np
from scipy.special import jv

SMALLEST_ANGLE = float(np.arcsin(0.2))  # of Theorem 1's complex state
SPREAD = 1e-9  # (t - 1) delta


def few_states(t: int, n: int, angle: float = SMALLEST_ANGLE) -> tuple[np.ndarray, np.ndarray]:
    """Returns (K of a real SSM with n states, phi of one complex state), each (t,): phi_k = Re(w A^k), |A| = 0.5^(1/t), |w| = 1.

    Of cosine and sine the one whose truncated series is closer in L1. Raises ValueError for t < 2 or n < 1.
    """
    if t < 2 or n < 1:
        raise ValueError(f"expected t >= 2 and n >= 1, got t = {t}, n = {n}")
    k, z = np.arange(t), angle * (t - 1) / 2
    delta = SPREAD / (t - 1)
    x = 1 - 2 * np.expm1(-delta * k) / np.expm1(-SPREAD)
    decay = 0.5 ** (k / t)
    pairs = [
        (decay * _series(x, z, n, odd), decay * (np.sin if odd else np.cos)(z * (1 - 2 * k / (t - 1))))
        for odd in (0, 1)
    ]
    return min(pairs, key=lambda pair: np.abs(pair[0] - pair[1]).sum())


def _series(x: np.ndarray, z: float, n: int, odd: int) -> np.ndarray:
    """The terms of degree below n of cos(z x) or sin(z x) at x (t,)."""
    j = np.arange(odd, n, 2)
    c = 2 * jv(j, z) * (-1.0) ** (j // 2)
    c[:1] /= 1 if odd else 2
    return np.cos(np.outer(np.arccos(np.clip(x, -1, 1)), j)) @ c


def enough_states(t: int, eps: float, angle: float = SMALLEST_ANGLE) -> int:
    """Returns the least n for which `few_states` is within L1 distance eps."""
    low, high = 0, t
    while high - low > 1:
        middle = (low + high) // 2
        K, phi = few_states(t, middle, angle)
        low, high = (low, middle) if np.abs(K - phi).sum() <= eps else (middle, high)
    return high
