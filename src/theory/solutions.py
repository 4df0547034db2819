"""Exact solutions of the approximation problem: P2 (arXiv 2410.14067), Propositions 1 and 3.

Output convention. P2's text has the response K_k = Re(C A^k B) = Re sum_j C_j B_j A_j^k for both fields; its
published code (and the theory experiment here) has 2 Re(.) for the complex field, as if every state stood for a
conjugate pair. Everything in this file follows the text; with B halved 2 Re(C A^k B) is the same response.
"""

from typing import NamedTuple

import numpy as np


class Solution(NamedTuple):
    """A diagonal SSM; A, B, C: (N,), real or complex."""

    A: np.ndarray
    B: np.ndarray
    C: np.ndarray

    def response(self, t: int) -> np.ndarray:
        """Returns Re(C A^k B) for k = 0 .. t - 1, float64 (t,)."""
        powers = np.asarray(self.A)[None, :] ** np.arange(t)[:, None]
        return (powers @ (self.B * self.C)).real


def proposition3(phi: np.ndarray, n: int | None = None) -> Solution:
    """P2, Proposition 3: a complex SSM with n >= t states that equals phi (t,) exactly, with ||B||_2 <= 2 ||phi||_2
    and ||C||_2 = 1.

    A_j = alpha e^(2 pi i j / t) with alpha = 2^(-1/(t-1)): on that circle the powers of A are the Fourier basis times
    alpha^k, so B is the discrete Fourier transform of phi_k / alpha^k over sqrt(t), and C_j = 1 / sqrt(t).
    alpha^(t-1) = 1/2 is what bounds B. For t = 1 no power of A is used and alpha = 1/2 is taken. States beyond t (n >
    t) get B = C = 0. Raises ValueError if n < t.
    """
    phi = np.asarray(phi, dtype=np.float64)
    t = len(phi)
    n = t if n is None else n
    if not 1 <= t <= n:
        raise ValueError(f"Proposition 3 needs 1 <= t <= n, got t = {t}, n = {n}")
    alpha = 0.5 ** (1 / max(t - 1, 1))
    A = np.full(n, alpha, dtype=np.complex128)
    A[:t] *= np.exp(2j * np.pi * np.arange(t) / t)
    B = np.zeros(n, dtype=np.complex128)
    B[:t] = np.fft.fft(phi / alpha ** np.arange(t)) / np.sqrt(t)
    C = np.zeros(n, dtype=np.complex128)
    C[:t] = 1 / np.sqrt(t)
    return Solution(A, B, C)


def proposition1(A: np.ndarray, phi: np.ndarray) -> np.ndarray:
    """P2, Proposition 1: weights w = C o B (n,) with sum_j w_j A_j^k = phi_k for all k < t, for any distinct A (n >=
    t,).

    Solves the Vandermonde system of the first t states in O(t^2) (Bjorck and Pereyra 1970); the others get weight 0.
    The algorithm only adds, multiplies and divides, so arrays of `fractions.Fraction` (dtype object) are solved
    exactly: for real A the weights grow exponentially with t (Theorem 2) and float64 loses all digits near t = 40.
    Raises ValueError if n < t or two of the A are equal.
    """
    A, phi = np.asarray(A), np.asarray(phi)
    t = len(phi)
    x = A[:t]
    if len(A) < t:
        raise ValueError(f"Proposition 1 needs n >= t, got n = {len(A)}, t = {t}")
    if len(set(x.tolist())) < t:
        raise ValueError("Proposition 1 needs distinct A; two are equal")
    w = phi.astype(np.result_type(A, phi, np.float64))
    for k in range(t - 1):
        w[k + 1 :] = w[k + 1 :] - x[k] * w[k:-1]
    for k in range(t - 2, -1, -1):
        w[k + 1 :] = w[k + 1 :] / (x[k + 1 :] - x[: t - k - 1])
        w[k:-1] = w[k:-1] - w[k + 1 :]
    return np.concatenate([w, np.zeros(len(A) - t, dtype=w.dtype)])
