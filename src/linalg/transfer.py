"""Transfer functions and impulse responses: G(s) = C (sI - A)^-1 B + D, h(t) = C exp(tA) B.

The systems of P1 = arXiv 2310.01698 (Yu et al.), Section 3, for HiPPO-LegS (A_H, B_H):

    DPLR (S4)       (A_H, B_H, C)
    Diag (S4D)      (A_H^perp, B_H / 2, C), A_H^perp = A_H + P P^T; the half makes Diag the limit of DPLR (Lemma 1)
    PTD  (S4-PTD)   (A_H + E, B_H, C)

One input and one output; C acts by a plain product, without conjugation.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.linalg import expm, schur

from .discretise import Array
from .hippo import Float, legs
from .nplr import Complex, normal_part


@dataclass(frozen=True, eq=False)
class System:
    """x' = A x + B u, y = C x + D u. A is dense, shape (n, n), or the diagonal of a diagonal matrix, shape (n,)."""

    A: Array
    B: Array  # (n,)
    C: Array  # (n,)
    D: complex = 0.0

    def __post_init__(self) -> None:
        n = len(self.A)
        if self.A.shape not in ((n, n), (n,)) or self.B.shape != (n,) or self.C.shape != (n,):
            shapes = f"{self.A.shape}, {self.B.shape}, {self.C.shape}"
            raise ValueError(f"expected A (n, n) or (n,), B (n,) and C (n,), got {shapes}")

    @property
    def is_real(self) -> bool:
        """Whether A, B, C and D are stored as real numbers, so that G(-iw) is the conjugate of G(iw)."""
        return all(np.isrealobj(M) for M in (self.A, self.B, self.C, self.D))

    @property
    def poles(self) -> Complex:
        """Eigenvalues of A, shape (n,)."""
        return np.asarray(self.A if self.A.ndim == 1 else np.linalg.eigvals(self.A), dtype=np.complex128)


def dplr_system(n: int, C: Array | None = None) -> System:
    """S4's system (A_H, B_H, C); C is e_0 when None."""
    A, B = legs(n)
    return System(A, B, first_state(n) if C is None else np.asarray(C))


def diag_system(n: int, C: Array | None = None) -> System:
    """S4D's system (A_H^perp, B_H / 2, C), in the basis of S4's; C is e_0 when None."""
    return System(normal_part(n), legs(n)[1] / 2, first_state(n) if C is None else np.asarray(C))


def ptd_system(n: int, E: Array, C: Array | None = None) -> System:
    """S4-PTD's system (A_H + E, B_H, C) for a perturbation E of shape (n, n), real or complex; C is e_0 when None."""
    S4 = dplr_system(n, C)
    return System(S4.A + np.asarray(E), S4.B, S4.C)


def first_state(n: int) -> Float:
    """Returns e_0, shape (n,): the output is the first state, the mean of the input under the measure."""
    return np.eye(1, n)[0]


def transfer_function(system: System) -> Callable[[ArrayLike], Complex]:
    """Returns the function s -> G(s), elementwise in s. The work that does not depend on s is done once.

    A dense A is brought to triangular form by a unitary matrix (Schur), so each s costs n^2 / 2 operations and no
    ill-conditioned eigenvectors enter.
    """
    return _diagonal(system) if system.A.ndim == 1 else _dense(system)


def state_response(A: Array, B: Array) -> Callable[[ArrayLike], Complex]:
    """Returns the function s -> (sI - A)^-1 B, shape (n, s.size), for a dense A (n, n) and B (n,), see `transfer_function`."""
    T, Q = schur(A, output="complex")
    b, n = Q.conj().T @ B, len(B)

    def state(s: ArrayLike) -> Complex:
        s = np.asarray(s, dtype=np.complex128).ravel()
        x = np.zeros((n, s.size), dtype=np.complex128)
        for k in reversed(range(n)):  # back substitution in (sI - T) x = b, for all s at once
            x[k] = (b[k] + T[k, k + 1 :] @ x[k + 1 :]) / (s - T[k, k])
        return Q @ x

    return state


def transfer_dplr(Lambda: Array, P: Array, B: Array, C: Array, s: ArrayLike) -> Complex:
    """Returns G(s) for A = diag(Lambda) - P P^*, P of shape (n, r), by Woodbury: O(n r + r^3) for each s.

    (sI - A)^-1 = R - R P (I + P^* R P)^-1 P^* R with R = (sI - diag(Lambda))^-1 (arXiv 2111.00396, Appendix C.3).
    """
    s = np.asarray(s, dtype=np.complex128)
    R = 1.0 / (s[..., None] - Lambda)
    PRP = np.einsum("kp,...k,kq->...pq", P.conj(), R, P)
    CRP, PRB = (R * C) @ P, (R * B) @ P.conj()
    inner = np.linalg.solve(np.eye(P.shape[1]) + PRP, PRB[..., None])[..., 0]
    return R @ (C * B) - (CRP * inner).sum(axis=-1)


def impulse_response(system: System, t: ArrayLike) -> Array:
    """Returns h(t) = C exp(tA) B for every t, in the shape of t (the D delta(t) is left out)."""
    t = np.asarray(t, dtype=np.float64)
    if system.A.ndim == 1:
        return np.exp(t[..., None] * system.A) @ (system.C * system.B)
    return expm(t[..., None, None] * system.A) @ system.B @ system.C


def discrete_impulse_response(Abar: Array, Bbar: Array, C: Array, length: int) -> Array:
    """Returns K[k] = C Abar^k Bbar, k = 0..length-1, of x[k+1] = Abar x[k] + Bbar u[k]; Abar as in `System`."""
    K, x = np.zeros(length, dtype=np.result_type(Abar, Bbar, C)), np.asarray(Bbar)
    for k in range(length):
        K[k] = C @ x
        x = Abar * x if Abar.ndim == 1 else Abar @ x
    return K


def _diagonal(system: System) -> Callable[[ArrayLike], Complex]:
    def G(s: ArrayLike) -> Complex:
        s = np.asarray(s, dtype=np.complex128)
        return (1.0 / (s[..., None] - system.A)) @ (system.C * system.B) + system.D

    return G


def _dense(system: System) -> Callable[[ArrayLike], Complex]:
    state = state_response(system.A, system.B)

    def G(s: ArrayLike) -> Complex:
        return (system.C @ state(s)).reshape(np.shape(s)) + system.D

    return G
