"""Starting spectra of diagonal SSMs: Lambda of S4D, one member of each conjugate pair.

Source: Gu, Gupta, Goel and Re, "On the Parameterization and Initialization of Diagonal State Space Models" (arXiv
2206.11893, Section 4). Each function takes the number N of kept eigenvalues (a real system of 2N states; of N states
for S4D-Real) and returns a complex128 array of shape (N,) with negative real parts, in 1 / (unit of dt).
"""

import numpy as np

from .hippo import check_order
from .nplr import Complex, conjugate_halves, nplr


def s4d_legs(n_pairs: int) -> Complex:
    """S4D-LegS: the eigenvalues of HiPPO-LegS's normal part of order 2N, -1/2 + i omega, omega > 0 ascending."""
    check_order(n_pairs)
    return conjugate_halves(nplr("legs", 2 * n_pairs)).Lambda


def s4d_lin(n_pairs: int) -> Complex:
    """S4D-Lin: -1/2 + i pi k, k = 0..N-1."""
    check_order(n_pairs)
    return -0.5 + 1j * np.pi * np.arange(n_pairs)


def s4d_inv(n_pairs: int) -> Complex:
    """S4D-Inv: -1/2 + i (n / pi) (n / (2k+1) - 1), k = 0..N-1, with n = 2N states.

    It follows the asymptotics of S4D-LegS. n counts the full system, conjugates included, as in the published S4 code.
    """
    check_order(n_pairs)
    n = 2 * n_pairs
    return -0.5 + 1j * n / np.pi * (n / (2 * np.arange(n_pairs) + 1) - 1)


def s4d_real(n_pairs: int) -> Complex:
    """S4D-Real: -1, ..., -N, the eigenvalues of HiPPO-LegS itself."""
    check_order(n_pairs)
    return -np.arange(1.0, n_pairs + 1.0).astype(np.complex128)


def s4d_random(n_pairs: int, rng: np.random.Generator) -> Complex:
    """S4D-Random: -1/2 + i exp(normal), the spectrum without structure of the published S4 code, in drawn order."""
    check_order(n_pairs)
    return -0.5 + 1j * np.exp(rng.standard_normal(n_pairs))
