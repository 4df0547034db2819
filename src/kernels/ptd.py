"""S4-PTD: S4D on a perturbed HiPPO matrix, A_H + E = V Lambda V^-1 with V well-conditioned.

Source: Yu et al., arXiv 2310.01698, Section 4. B = V^-1 B_H and C = C0 V with C0 real normal, so that the kernel is
that of (A_H + E, B_H, C0).
"""

from typing import Literal, Protocol

import numpy as np

from ..errors import UserError
from ..linalg.hippo import legs
from .diagonal import DiagonalInit, DiagonalKernel

States = Literal["pairs", "all", "merged"]


class Perturbation(Protocol):
    """A diagonalised A_H + E = V diag(Lambda) V^-1, as `src.linalg.ptd` returns it."""

    E: np.ndarray  # (n, n)
    Lambda: np.ndarray  # (n,)
    V: np.ndarray  # (n, n)
    Vinv: np.ndarray  # (n, n)


def ptd_kernel(
    perturbation: Perturbation, H: int, *, states: States = "pairs", reflect: bool = False, **options
) -> DiagonalKernel:
    """Returns the S4-PTD kernel of a perturbation, which sets the number of states, for H channels.

    Args:
        states, reflect: see `ptd_init`.
        options: see `DiagonalKernel`.

    Raises:
        UserError: an eigenvalue with Re >= 0, unless `reflect` is set.
    """
    return DiagonalKernel(H, init=ptd_init(perturbation, states, reflect), **options)


def ptd_init(
    found: Perturbation, states: States = "pairs", reflect: bool = False, weight: float | None = None
) -> DiagonalInit:
    """Returns where S4-PTD starts.

    Args:
        states: 'pairs' keeps one state of each conjugate pair of a real E and every real one (all n of a complex E);
            'all' keeps all n; 'merged' is 'all' with B = 1 and C = C0 V o (V^-1 B_H), so that what is trained as C is the product.
        reflect: replaces Re(Lambda) by -|Re(Lambda)|, as the published code does; False refuses Re >= 0.
        weight: of every state in K = Re sum weight C B exp(t dt Lambda). None counts a pair that one state stands for twice and every
            other state once; 2 is what the published robustness and ablation codes give to all n.

    Raises:
        UserError: an eigenvalue with Re >= 0, unless `reflect` is set.
    """
    Lambda, V = np.asarray(found.Lambda), np.asarray(found.V)
    if Lambda.real.max() >= 0:
        if not reflect:
            raise UserError(
                f"the perturbed system is unstable (max Re = {Lambda.real.max():.3g}); solve for a stable one, "
                "or set reflect=true for the published -|Re|"
            )
        Lambda = -np.abs(Lambda.real) + 1j * Lambda.imag
    B = np.asarray(found.Vinv) @ legs(len(Lambda))[1]
    weights = np.ones(len(Lambda))
    if states == "pairs" and not np.any(np.imag(found.E)):
        alone = np.abs(Lambda.imag) <= 1e-9 * np.abs(Lambda).max()
        kept = alone | (Lambda.imag > 0)
        Lambda, B, V = Lambda[kept], B[kept], V[:, kept]
        weights = np.where(alone, 1.0, 2.0)[kept]
    if states == "merged":
        V, B = V * B, np.ones_like(B)
    if weight is not None:
        weights = np.full(len(Lambda), float(weight))
    return DiagonalInit(Lambda.astype(complex), B.astype(complex), V.astype(complex), weights)
