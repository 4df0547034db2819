"""Perturb-then-diagonalise (PTD): A_H + E = V Lambda V^-1 with a small E and well-conditioned eigenvectors V.

Source: Yu, Nigmetov, Morozov, Mahoney and Erichson, "Robustifying State-space Models for Long Sequences via
Approximate Diagonalization" (arXiv 2310.01698), section 4. A_H is HiPPO-LegS throughout.

Eigenvectors have unit norm wherever a condition number is given, as `eig` returns them and as the paper measures
them. Order and phases are those of `src.linalg.nplr`: Lambda ascends in its imaginary part, V^-1 B_H is real and not
negative, and for a real E state n-1-k is the conjugate of state k (real eigenvalues stand in the middle).
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ...errors import UserError
from ..distance import normalised, sup_distance
from ..hippo import Float, legs
from ..nplr import nplr
from ..transfer import dplr_system, ptd_system
from ..worst_output import worst_distance

Complex = NDArray[np.complex128]


@dataclass(frozen=True, eq=False)
class Perturbation:
    """One solution, with its figures; nothing is repaired silently, `max_real` tells whether it is stable."""

    E: Float | Complex  # (n, n); real dtype when the perturbation is real
    Lambda: Complex  # (n,)
    V: Complex  # (n, n), unit columns
    Vinv: Complex  # (n, n)
    iterations: int = 0  # of the solver; 0 for closed forms and files
    converged: bool = True  # the solver's criterion was met

    @property
    def n(self) -> int:
        """Number of states."""
        return len(self.Lambda)

    @property
    def is_real(self) -> bool:
        """Whether E is real, so that complex eigenvalues come in conjugate pairs."""
        return not np.iscomplexobj(self.E)

    @cached_property
    def cond(self) -> float:
        """kappa(V) in the 2-norm, columns of unit norm."""
        return float(np.linalg.cond(self.V))

    @cached_property
    def size(self) -> float:
        """||E||_2 / ||A_H||_2."""
        return float(np.linalg.norm(self.E, 2) / np.linalg.norm(legs(self.n)[0], 2))

    @cached_property
    def size_frobenius(self) -> float:
        """||E||_F / ||A_H||_F."""
        return float(np.linalg.norm(self.E) / np.linalg.norm(legs(self.n)[0]))

    @cached_property
    def d_worst(self) -> float:
        """Distance from S4: sup over w and unit C of |G_PTD(iw) - G_DPLR(iw)|, B of norm 1; infinite when unstable."""
        return worst_distance(self.E).value if self.max_real < 0 else np.inf

    @cached_property
    def d_e0(self) -> float:
        """The same for the output C = e_0."""
        pair = dplr_system(self.n), ptd_system(self.n, self.E)
        return sup_distance(*map(normalised, pair)).value if self.max_real < 0 else np.inf

    @property
    def max_real(self) -> float:
        """The largest real part in the spectrum of A_H + E; below zero means stable."""
        return float(self.Lambda.real.max())

    @property
    def has_pairs(self) -> bool:
        """Whether states come in conjugate pairs only, so that the upper half of them is the whole real system."""
        return self.is_real and bool(np.all(self.Lambda.imag != 0))

    def reflected(self) -> "Perturbation":
        """Returns the system with every Re(Lambda) replaced by -|Re(Lambda)|, as the published code forces stability.

        V stays and E changes with Lambda: the result is a perturbation of another size.
        """
        Lambda = -np.abs(self.Lambda.real) + 1j * self.Lambda.imag
        M = (self.V * Lambda) @ self.Vinv
        E = (M.real if self.is_real else M) - legs(self.n)[0]
        return canonical(E, Lambda, self.V, self.Vinv, self.iterations, self.converged)


def canonical(
    E: Float | Complex, Lambda: Complex, V: Complex, Vinv: Complex, iterations: int = 0, converged: bool = True
) -> Perturbation:
    """Returns the same decomposition with unit columns, in the order and phases of this module's first lines."""
    order = _conjugate_order(Lambda) if not np.iscomplexobj(E) else np.lexsort((Lambda.real, Lambda.imag))
    Lambda, V, Vinv = Lambda[order], V[:, order], Vinv[order]
    norms = np.linalg.norm(V, axis=0)
    overlap = Vinv @ legs(len(Lambda))[1]
    phase = np.where(overlap == 0, 1.0, overlap / np.where(overlap == 0, 1.0, np.abs(overlap)))
    scale = norms / phase
    return Perturbation(E, Lambda, V / scale, Vinv * scale[:, None], iterations, converged)


def _conjugate_order(Lambda: Complex) -> NDArray[np.intp]:
    """Returns the order by imaginary part in which state n-1-k is the conjugate of state k, also when parts tie."""
    scale = np.abs(Lambda).max()
    real = np.flatnonzero(np.abs(Lambda.imag) <= 1e-12 * scale)
    upper = np.flatnonzero(Lambda.imag > 1e-12 * scale)
    lower = np.flatnonzero(Lambda.imag < -1e-12 * scale)
    upper = upper[np.lexsort((Lambda[upper].real, Lambda[upper].imag))]
    lower = lower[np.lexsort((Lambda[lower].real, -Lambda[lower].imag))][::-1]
    return np.concatenate([lower, real[np.argsort(Lambda[real].real)], upper])


def diagonalise(E: Float | Complex) -> Perturbation:
    """Returns A_H + E diagonalised by `eig`; E has shape (n, n).

    Raises:
        UserError: A_H + E has no complete set of eigenvectors in float64 (E is too small, or zero).
    """
    Lambda, V = np.linalg.eig(legs(len(E))[0] + E)
    if not np.linalg.cond(V) < 1e13:
        raise UserError(f"A_H + E is numerically defective at n = {len(E)}; the perturbation is too small, enlarge E")
    V = V.astype(np.complex128)
    return canonical(E, Lambda.astype(np.complex128), V, np.linalg.inv(V))


def rank1(n: int) -> Perturbation:
    """Returns E = P P^T, P_i = sqrt(i + 1/2): A_H + E is normal (cond 1) and S4D is its diagonal form."""
    full = nplr("legs", n)
    P = np.sqrt(np.arange(n) + 0.5)
    return canonical(np.outer(P, P), full.Lambda, full.V, full.V.conj().T)


def decoupled(n: int) -> Perturbation:
    """Returns the E with row 0 zero that leaves A_H + E normal: e_0 apart at -1, the other states like S4D's.

    The output e_0 is then exactly S4's (`response`). It is of about the size of P P^T, ||E|| / ||A_H|| = 0.5.
    """
    A = legs(n)[0]
    E = np.outer(P := np.sqrt(np.arange(n) + 0.5), P)
    E[0] = 0.0
    E[1:, 0] = -A[1:, 0]
    return diagonalise(E)


def random_perturbation(n: int, size: float, seed: int, real: bool = True) -> Perturbation:
    """Returns a Ginibre perturbation (independent Gaussian entries) of ||E||_2 / ||A_H||_2 = size: the baseline.

    It often makes A_H + E unstable from size 1e-2 on; that is reported by `max_real` and not repaired.

    Raises:
        UserError: size is not a positive number.
    """
    if not (np.isfinite(size) and size > 0):
        raise UserError(f"the size of a random perturbation must be a positive number, got {size!r}")
    generator = np.random.default_rng(seed)
    E = generator.standard_normal((n, n))
    if not real:
        E = (E + 1j * generator.standard_normal((n, n))) / np.sqrt(2.0)
    E *= size * np.linalg.norm(legs(n)[0], 2) / np.linalg.norm(E, 2)
    return diagonalise(E)
