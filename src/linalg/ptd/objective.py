"""The objectives of PTD and their gradients, written out by hand in float64.

A gradient G of a real f with respect to a matrix X means df = Re tr(G^H dX); for a real X it is real.

Eigenvectors as a function of the matrix M = V Lambda V^-1 (unit columns v_j, distinct eigenvalues), Magnus 1985:
    dV = V (F o (V^-1 dM V)) minus the part that changes the columns' norms,  F_ij = 1/(lambda_j - lambda_i), F_jj = 0.
Published objective of arXiv 2310.01698's code: kappa(V)^2 + delta ||E||_F.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ..hippo import Float
from .perturbation import Complex


class Value(NamedTuple):
    """A function's value and its gradient."""

    value: float
    gradient: Float | Complex


def log_schatten(X: Float | Complex, half: int) -> Value:
    """Returns log ||X||_p of the singular values with p = 2 * half, a smooth bound of the spectral norm.

    ||X||_2 <= ||X||_p <= n^(1/p) ||X||_2; p = 2 is the Frobenius norm. Only matrix products: (X^H X)^half by repeated
    squaring, scaled at each step so that no power leaves the range of float64.

    Args:
        X: (n, n).
        half: a power of two.
    """
    frobenius = np.linalg.norm(X)
    Y = X / frobenius
    power, log_power = Y.conj().T @ Y, 0.0  # (Y^H Y)^k, k = 1, 2, 4, ... half
    rest, log_rest = None, 0.0  # (Y^H Y)^(k-1)
    for _ in range(int(half).bit_length() - 1):
        rest, log_rest = (power, log_power) if rest is None else (rest @ power, log_rest + log_power)
        rest, log_rest = _unit_trace(rest, log_rest)
        power, log_power = _unit_trace(power @ power, 2.0 * log_power)
    trace = np.trace(power).real
    value = np.log(frobenius) + (log_power + np.log(trace)) / (2 * half)
    gradient = Y if rest is None else (Y @ rest) * np.exp(log_rest - log_power)
    return Value(value, gradient / (trace * frobenius))


def _unit_trace(X: Float | Complex, log_scale: float) -> tuple[Float | Complex, float]:
    trace = np.trace(X).real
    return X / trace, log_scale + np.log(trace)


@dataclass(frozen=True)
class Eigensystem:
    """M = V diag(Lambda) V^-1 with unit columns, and how gradients come back through it."""

    Lambda: Complex  # (n,)
    V: Complex  # (n, n)
    Vinv: Complex  # (n, n)
    real: bool  # whether M is real

    @staticmethod
    def of(M: Float | Complex) -> "Eigensystem":
        """Returns the eigensystem of M, shape (n, n); raises `numpy.linalg.LinAlgError` when V is singular."""
        Lambda, V = np.linalg.eig(M)
        return Eigensystem(Lambda, V, np.linalg.inv(V), not np.iscomplexobj(M))

    def pull_back(self, G_V: Complex, g_Lambda: Complex | Float) -> Float | Complex:
        """Returns the gradient to M from those to V, shape (n, n), and to Lambda, shape (n,)."""
        G_V = G_V - self.V * np.sum(self.V.conj() * G_V, axis=0).real  # columns keep their norm
        gaps = self.Lambda[None, :] - self.Lambda[:, None]
        np.fill_diagonal(gaps, np.inf)
        Vh = self.V.conj().T
        G = self.Vinv.conj().T @ ((1.0 / gaps).conj() * (Vh @ G_V) + np.diag(g_Lambda)) @ Vh
        return G.real if self.real else G


def eigenvector_cond(M: Float | Complex) -> Value:
    """Returns kappa(V) in the 2-norm for M's unit eigenvectors, and its gradient to M, shape (n, n).

    Valid where the eigenvalues are distinct and the extreme singular values of V are simple.
    """
    system = Eigensystem.of(M)
    U, s, Wh = np.linalg.svd(system.V)
    cond = s[0] / s[-1]
    # d sigma_k = Re(u_k^H dV w_k)
    G_V = cond * (np.outer(U[:, 0], Wh[0]) / s[0] - np.outer(U[:, -1], Wh[-1]) / s[-1])
    return Value(float(cond), system.pull_back(G_V, np.zeros(len(s))))


def log_smooth_cond(system: Eigensystem, half: int) -> Value:
    """Returns log(||V||_p ||V^-1||_p) in Schatten norms, p = 2 half, and its gradient to V, shape (n, n).

    An upper bound of log kappa(V), at most (2/p) log n above it, and smooth where kappa is not.
    """
    above, below = log_schatten(system.V, half), log_schatten(system.Vinv, half)
    inverse_h = system.Vinv.conj().T
    return Value(above.value + below.value, above.gradient - inverse_h @ below.gradient @ inverse_h)


def cond_plus_frobenius(E: Float | Complex, A: Float, delta: float) -> Value:
    """Returns kappa(V)^2 + delta ||E||_F, the published code's loss, and its gradient with respect to E != 0."""
    cond = eigenvector_cond(A + E)
    norm = np.linalg.norm(E)
    return Value(cond.value**2 + delta * norm, 2.0 * cond.value * cond.gradient + delta / norm * E)
