"""S4-PTD: S4D on a perturbed HiPPO matrix, A_H + E = V Lambda V^-1 with V well-conditioned.

Source: Yu et al., arXiv 2310.01698, Section 4. B = V^-1 B_H and C = C0 V with C0 real normal, so that the kernel is
that of (A_H + E, B_H, C0). When E is real, the eigenvalues come in conjugate pairs and one of each is kept.
"""

from typing import Protocol

import numpy as np

from ..errors import UserError
from ..linalg.hippo import legs
from .diagonal import DiagonalInit, DiagonalKernel


class Perturbation(Protocol):
    """A diagonalised A_H + E = V diag(Lambda) V^-1, as `src.linalg.ptd` returns it."""

    E: np.ndarray  # (n, n)
    Lambda: np.ndarray  # (n,)
    V: np.ndarray  # (n, n)
    Vinv: np.ndarray  # (n, n)


def ptd_kernel(perturbation: Perturbation, H: int, *, reflect: bool = False, **options) -> DiagonalKernel:
    """Returns the S4-PTD kernel of a perturbation.

    Args:
        perturbation: the eigen-decomposition to start from; it sets the number of states.
        H: number of channels.
        reflect: replaces Re(Lambda) by -|Re(Lambda)|, as the published code does; default: refuse Re >= 0.
        options: see `DiagonalKernel`.

    Raises:
        UserError: an eigenvalue with Re >= 0, unless `reflect` is set.
    """
    return DiagonalKernel(H, init=ptd_init(perturbation, reflect), **options)


def ptd_init(perturbation: Perturbation, reflect: bool = False) -> DiagonalInit:
    """Returns where S4-PTD starts: all n states, or for a real E one of each pair and every real one."""
    Lambda, V = np.asarray(perturbation.Lambda), np.asarray(perturbation.V)
    if Lambda.real.max() >= 0:
        if not reflect:
            raise UserError(
                f"the perturbed system is unstable (max Re = {Lambda.real.max():.3g}); solve for a stable one, "
                "or set reflect=true for the published -|Re|"
            )
        Lambda = -np.abs(Lambda.real) + 1j * Lambda.imag
    B = np.asarray(perturbation.Vinv) @ legs(len(Lambda))[1]
    weight = np.ones(len(Lambda))
    if np.isrealobj(perturbation.E) or not np.any(np.imag(perturbation.E)):
        alone = np.abs(Lambda.imag) <= 1e-9 * np.abs(Lambda).max()
        weight = np.where(alone, 1.0, 2.0)
        kept = alone | (Lambda.imag > 0)
        Lambda, B, V, weight = Lambda[kept], B[kept], V[:, kept], weight[kept]
    return DiagonalInit(Lambda.astype(complex), B.astype(complex), V.astype(complex), weight)
