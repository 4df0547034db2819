"""Normal plus low rank: A = V (diag(Lambda) - P P^*) V^* with V unitary, for every HiPPO matrix.

Each HiPPO matrix is a multiple of the identity plus a real skew-symmetric matrix minus P P^T (Gu, Goel and Re, arXiv
2111.00396, Theorem 1). The skew-symmetric part S is diagonalised through the Hermitian matrix -iS, so V is unitary to
rounding and the real parts of Lambda are exact. A itself must not be diagonalised numerically: the condition number
of its eigenvectors passes 1e18 at n = 32.

Order and phases are fixed: Lambda ascends in its imaginary part, state n-1-k is the conjugate of state k, and V^* B
is real and positive.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import UserError
from .hippo import Float, hippo

Complex = NDArray[np.complex128]

PUBLISHED_CLIP = 2.0  # of Im(B), in the published S4 code
RANKS = {"legs": 1, "legt": 2, "fourier": 1}  # the least rank of P
_REAL_PARTS = {"legs": -0.5, "legt": 0.0, "fourier": 0.0}  # of the eigenvalues of the normal part


class NPLR(NamedTuple):
    """A = V (diag(Lambda) - P P^*) V^* and V B is the real B; m = n in full, m = n/2 for one half of the pairs."""

    Lambda: Complex  # (m,)
    P: Complex  # (m, rank)
    B: Complex  # (m,)
    V: Complex  # (n, m)


def low_rank(measure: str, n: int, rank: int | None = None) -> Float:
    """Returns the real P, shape (n, rank), that makes A + P P^T normal; columns beyond the least rank are zero.

    Raises:
        UserError: unknown measure, or a rank below the least one.
    """
    _, B = hippo(measure, n)
    least = RANKS[measure]
    rank = least if rank is None else rank
    if rank < least:
        raise UserError(f"the measure '{measure}' needs rank {least} or more to become normal, got {rank}")
    P = np.zeros((n, rank))
    if measure == "legs":
        P[:, 0] = np.sqrt(np.arange(n) + 0.5)
    elif measure == "legt":
        P[1::2, 0] = np.sqrt(2.0) * B[1::2]
        P[0::2, 1] = np.sqrt(2.0) * B[0::2]
    else:
        P[:, 0] = B
    return P


def skew_part(measure: str, n: int) -> Float:
    """Returns S, exactly skew-symmetric, shape (n, n), with A = Re(Lambda) I + S - P P^T."""
    A, _ = hippo(measure, n)
    N = A + (P := low_rank(measure, n)) @ P.T
    return 0.5 * (N - N.T)


def normal_part(n: int, measure: str = "legs") -> Float:
    """Returns A + P P^T, shape (n, n); for LegS A_H^perp = -I/2 + skew, the matrix of S4D (arXiv 2203.14343)."""
    return _REAL_PARTS[measure] * np.eye(n) + skew_part(measure, n)


def nplr(measure: str, n: int, rank: int | None = None) -> NPLR:
    """Returns (Lambda, P, B, V) in full: m = n states in ascending order of the imaginary part.

    Args:
        measure: a name in `hippo.MEASURES`.
        n: number of states.
        rank: columns of P; the least possible when None, zero columns beyond it.
    """
    _, B = hippo(measure, n)
    omega, V = _eig_skew(skew_part(measure, n))
    V = _fix_phases(V, B)
    Vh = V.conj().T
    Lambda = _REAL_PARTS[measure] + 1j * omega
    return NPLR(Lambda, Vh @ low_rank(measure, n, rank), Vh @ B, V)


def conjugate_halves(full: NPLR) -> NPLR:
    """Keeps the member of each conjugate pair with the positive imaginary part, ascending: m = n/2.

    A real system x' = A x + B u, y = C x is then y = 2 Re(C V x_half). The Fourier measure has the pair (0, 0) and
    keeps one zero. An odd n leaves one real eigenvalue without a partner, which would count twice in 2 Re(.).

    Raises:
        UserError: an odd number of states.
    """
    n = len(full.Lambda)
    if n % 2:
        raise UserError(f"conjugate pairs need an even number of states, got {n}; use an even n or the full system")
    kept = slice(n // 2, None)
    return NPLR(full.Lambda[kept], full.P[kept], full.B[kept], full.V[:, kept])


def published_half(measure: str, n: int, rank: int | None = None) -> NPLR:
    """Returns `conjugate_halves` as the published S4 code starts from it: Im(B) clipped to [-2, 2].

    The clip depends on the phases of the eigenvectors, which are those of LAPACK's `zheevd` on the lower triangle there: first
    components are real (their signs do not matter to a clip). Where a first component is zero the phase is left as it is. The
    mathematics asks for no clip; at n = 16 it makes |B| of the three fastest modes 1.08, 1.74 and 5.1 times smaller.

    Raises:
        UserError: an odd number of states.
    """
    half = conjugate_halves(nplr(measure, n, rank))
    first = half.V[0]
    size = np.abs(first)
    turn = np.where(size > 1e-12, first.conj() / np.where(size > 1e-12, size, 1.0), 1.0)
    B = half.B * turn.conj()
    clipped = B.real + 1j * np.clip(B.imag, -PUBLISHED_CLIP, PUBLISHED_CLIP)
    return NPLR(half.Lambda, half.P * turn.conj()[:, None], clipped, half.V * turn)


def _eig_skew(S: Float) -> tuple[Float, Complex]:
    """Returns omega (n,), ascending, and unitary V with S = V diag(i omega) V^*, exactly closed under conjugation."""
    n = len(S)
    omega, V = np.linalg.eigh(-1j * S)
    scale = max(np.abs(omega).max(), 1.0)
    kernel = np.abs(omega) <= n * np.finfo(np.float64).eps * scale
    V[:, kernel] = _conjugate_basis(V[:, kernel])
    half = n // 2
    omega[kernel] = 0.0
    omega[:half] = -omega[n - half :][::-1]
    V[:, :half] = V[:, n - half :][:, ::-1].conj()
    return omega, V


def _conjugate_basis(W: Complex) -> Complex:
    """Returns an orthonormal basis of the span of W, which is closed under conjugation, made of conjugate pairs.

    Column k and column m-1-k are conjugates; the middle column of an odd number is real.
    """
    m = W.shape[1]
    projector = (W @ W.conj().T).real
    real = np.linalg.eigh(projector)[1][:, len(W) - m :]
    half = m // 2
    upper = (real[:, m - half :] - 1j * real[:, :half][:, ::-1]) / np.sqrt(2.0)
    return np.hstack([upper[:, ::-1].conj(), real[:, half : m - half], upper])


def _fix_phases(V: Complex, B: Float) -> Complex:
    """Turns every eigenvector so that v^* B is real and positive; it is never zero for a HiPPO matrix."""
    overlap = V.conj().T @ B
    return V * (overlap / np.abs(overlap))
