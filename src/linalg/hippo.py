"""HiPPO matrices: the state of x' = A x + B u holds the input's past in an orthonormal basis.

Sources: Gu, Dao, Ermon, Rudra and Re, "HiPPO: Recurrent Memory with Optimal Polynomial Projections" (arXiv
2008.07669); Gu, Johnson, Timalsina, Rudra and Re, "How to Train Your HiPPO" (arXiv 2206.12037, Table 1). The scalings
are those of the published S4 code.

| function  | basis on the history                        | measure             | the state is the projection of |
|-----------|---------------------------------------------|---------------------|--------------------------------|
| `legs`    | sqrt(2k+1) P_k (Legendre)                   | uniform on [0, t]   | any u, by t x' = A x + B u     |
| `legt`    | sqrt(2k+1) P_k (Legendre)                   | uniform on [t-2, t] | polynomials of degree < n      |
| `fourier` | 1, sqrt(2) cos(pi k s), sqrt(2) sin(pi k s) | uniform on [t-2, t] | the span of the basis          |

All functions return float64 arrays: A of shape (n, n) and B of shape (n,). Row and column indices are 0..n-1.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ..errors import UserError, did_you_mean

Float = NDArray[np.float64]


def check_order(n: int) -> None:
    """Raises `UserError` unless `n` is a positive whole number of states."""
    if not isinstance(n, int | np.integer) or isinstance(n, bool) or n < 1:
        raise UserError(f"the number of states must be a whole number of at least 1, got {n!r}")


def legs(n: int) -> tuple[Float, Float]:
    """Returns HiPPO-LegS (scaled Legendre): the eigenvalues of A are exactly -1, ..., -n.

    A[i, j] = -sqrt(2i+1) sqrt(2j+1) for i > j, -(i+1) for i = j, 0 for i < j; B[i] = sqrt(2i+1) (HiPPO, Theorem 2).
    """
    check_order(n)
    r = np.sqrt(2.0 * np.arange(n) + 1.0)
    A = -np.tril(np.outer(r, r), -1) - np.diag(np.arange(1.0, n + 1.0))
    return A, r


def legt(n: int) -> tuple[Float, Float]:
    """Returns HiPPO-LegT (translated Legendre, the Legendre memory unit) for a window of length 2.

    A[i, j] = -1/2 sqrt(2i+1) sqrt(2j+1) (1 for i >= j, (-1)^(i-j) for i < j); B[i] = 1/2 sqrt(2i+1) (HiPPO,
    Theorem 1, theta = 2, in the orthonormal basis).
    """
    check_order(n)
    i = np.arange(n)
    r = np.sqrt(2.0 * i + 1.0)
    alternating = 1.0 - 2.0 * ((i[:, None] - i[None, :]) % 2)
    sign = np.where(i[:, None] >= i[None, :], 1.0, alternating)
    return -0.5 * np.outer(r, r) * sign, 0.5 * r


def fourier(n: int) -> tuple[Float, Float]:
    """Returns HiPPO-FouT (truncated Fourier) for a window of length 2: A = S - B B^T with S skew.

    States 2k and 2k+1 belong to the cosine and the sine of frequency pi k, k < n/2. The sine of frequency 0 does not
    exist: state 1 is kept so that states come in pairs, gets no input and has eigenvalue 0, as in the published S4
    code. All other eigenvalues lie in the open left half plane.

    Raises:
        UserError: n is odd.
    """
    check_order(n)
    if n % 2:
        raise UserError(f"the Fourier measure needs an even number of states (cosine and sine pairs), got {n}")
    B = np.zeros(n)
    B[0::2] = np.sqrt(2.0)
    B[0] = 1.0
    S = np.zeros((n, n))
    cosine = np.arange(0, n, 2)
    S[cosine + 1, cosine] = np.pi * np.arange(n // 2)
    S -= S.T
    return S - np.outer(B, B), B


MEASURES: dict[str, Callable[[int], tuple[Float, Float]]] = {"legs": legs, "legt": legt, "fourier": fourier}


def hippo(measure: str, n: int) -> tuple[Float, Float]:
    """Returns (A, B) of a measure by its name.

    Raises:
        UserError: unknown measure, or an n that the measure does not have.
    """
    if measure not in MEASURES:
        raise UserError(f"unknown HiPPO measure '{measure}'{did_you_mean(measure, MEASURES)}")
    return MEASURES[measure](n)
