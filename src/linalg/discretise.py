"""Discretisation of x' = A x + B u with step dt: x[k+1] = Abar x[k] + Bbar u[k].

| rule        | Abar                         | Bbar                     | order in dt                         |
|-------------|------------------------------|--------------------------|-------------------------------------|
| `zoh`       | exp(dt A)                    | int_0^dt exp(s A) ds B   | exact while u is constant on a step |
| `bilinear`  | (I - dt/2 A)^-1 (I + dt/2 A) | (I - dt/2 A)^-1 dt B     | 2 (trapezoidal rule)                |
| `euler_zoh` | exp(dt A)                    | dt B                     | 1                                   |

`zoh` and `bilinear` are those of S4 (Gu, Goel and Re, arXiv 2111.00396, equation 3) and S4D (arXiv 2206.11893);
`euler_zoh` is what Mamba's code computes where its paper says zero-order hold (Gu and Dao, arXiv 2312.00752, equation
4). u[k] stands for the input on the whole step k: its value there, or the mean of its two ends in the trapezoidal rule.

A dense system has A of shape (n, n) and B of shape (n,) or (n, m). A diagonal one (`*_diagonal`) has Lambda, B and dt
of shapes that broadcast. dt > 0 is a time. No rule inverts A, so a singular A is no exception.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import expm

Array = NDArray[np.float64] | NDArray[np.complex128]


def zoh(A: Array, B: Array, dt: float) -> tuple[Array, Array]:
    """Returns (Abar, Bbar) of the zero-order hold, both from the exponential of dt [[A, B], [0, 0]]."""
    A, B2 = _checked(A, B, dt)
    n, m = B2.shape
    block = np.zeros((n + m, n + m), dtype=np.result_type(A, B2))
    block[:n, :n], block[:n, n:] = A, B2
    E = expm(dt * block)
    return E[:n, :n], E[:n, n:].reshape(np.shape(B))


def bilinear(A: Array, B: Array, dt: float) -> tuple[Array, Array]:
    """Returns (Abar, Bbar) of the trapezoidal rule; Abar is a contraction whenever A + A^* is negative definite.

    Raises:
        numpy.linalg.LinAlgError: 2 / dt is an eigenvalue of A, which no stable A has.
    """
    A, B2 = _checked(A, B, dt)
    eye = np.eye(len(A))
    solved = np.linalg.solve(eye - dt / 2 * A, np.hstack([eye + dt / 2 * A, dt * B2]))
    return solved[:, : len(A)], solved[:, len(A) :].reshape(np.shape(B))


def euler_zoh(A: Array, B: Array, dt: float) -> tuple[Array, Array]:
    """Returns (exp(dt A), dt B), Mamba's rule."""
    A, _ = _checked(A, B, dt)
    return expm(dt * A), dt * np.asarray(B)


def zoh_diagonal(Lambda: Array, B: Array, dt: ArrayLike) -> tuple[Array, Array]:
    """Returns the zero-order hold of a diagonal system, elementwise, right to rounding down to dt Lambda = 0."""
    Lambda, B, z = np.asarray(Lambda), np.asarray(B), np.asarray(dt) * Lambda
    return np.exp(z), np.asarray(dt) * phi1(z) * B


def bilinear_diagonal(Lambda: Array, B: Array, dt: ArrayLike) -> tuple[Array, Array]:
    """Returns the trapezoidal rule of a diagonal system, elementwise."""
    half = np.asarray(dt) / 2 * Lambda
    return (1 + half) / (1 - half), np.asarray(dt) / (1 - half) * B


def euler_zoh_diagonal(Lambda: Array, B: Array, dt: ArrayLike) -> tuple[Array, Array]:
    """Returns (exp(dt Lambda), dt B), Mamba's rule, elementwise."""
    return np.exp(np.asarray(dt) * Lambda), np.asarray(dt) * B


def phi1(z: Array) -> Array:
    """Returns (exp(z) - 1) / z elementwise, 1 at z = 0, within a few roundings for real and complex z."""
    z = np.asarray(z)
    tiny = np.abs(z) < 1e-17  # phi1 = 1 + z/2 + ... rounds to 1, and a complex quotient of subnormal numbers is NaN
    safe = np.where(tiny, 1.0, z)
    return np.where(tiny, 1.0, np.expm1(safe) / safe)


def _checked(A: Array, B: Array, dt: float) -> tuple[Array, Array]:
    """Returns A and B as a matrix, after checking that shapes and dt make sense."""
    A, B = np.asarray(A), np.asarray(B)
    if A.ndim != 2 or A.shape[0] != A.shape[1] or B.ndim not in (1, 2) or len(B) != len(A):
        raise ValueError(f"expected A (n, n) and B (n,) or (n, m), got {A.shape} and {B.shape}")
    if not dt > 0:
        raise ValueError(f"expected a positive step dt, got {dt}")
    return A, B.reshape(len(A), -1)
