"""HiPPO matrices against the definition: the state is the projection of the input onto an orthonormal basis."""

import numpy as np
import pytest
from numpy.polynomial import Polynomial
from numpy.polynomial.legendre import leggauss, legval

from src.errors import UserError
from src.linalg.hippo import MEASURES, fourier, hippo, legs, legt

ORDERS = [1, 2, 3, 8, 17, 64]
SIGMA, WEIGHTS = leggauss(160)  # on [-1, 1]


def legendre(n: int, x: np.ndarray) -> np.ndarray:
    """Orthonormal Legendre polynomials under the uniform measure on [-1, 1], shape (n, len(x))."""
    return np.sqrt(2 * np.arange(n) + 1)[:, None] * legval(x, np.eye(n))


@pytest.mark.parametrize("n", ORDERS)
def test_legs_spectrum_is_exactly_minus_one_to_minus_n(n):
    A, _ = legs(n)
    # A is triangular, so its diagonal is its spectrum: no eigenvalue solver and no rounding
    assert np.array_equal(A, np.tril(A))
    assert np.array_equal(np.diag(A), -np.arange(1.0, n + 1))


@pytest.mark.parametrize("n", ORDERS)
@pytest.mark.parametrize("t", [0.3, 2.0])
def test_legs_state_is_the_projection_of_any_input_onto_legendre_polynomials_of_its_history(n, t):
    # x_k(t) = 1/t int_0^t u(s) p_k(2s/t - 1) ds obeys t x' = A x + B u, for an input that is not a polynomial
    u, du = (lambda s: np.exp(-s) * np.sin(3 * s)), (lambda s: np.exp(-s) * (3 * np.cos(3 * s) - np.sin(3 * s)))
    A, B = legs(n)
    half = 0.5 * WEIGHTS * legendre(n, SIGMA)
    fraction = 0.5 * (SIGMA + 1)
    x = half @ u(t * fraction)
    t_dx = half @ (t * fraction * du(t * fraction))
    np.testing.assert_allclose(t_dx, A @ x + B * u(t), rtol=0, atol=1e-12 * n**2)


def test_legs_state_reconstructs_a_polynomial_of_degree_below_n():
    n, t = 9, 1.7
    u = Polynomial(np.random.default_rng(0).standard_normal(n))
    A, B = legs(n)
    # u is a polynomial, so x(t) = sum_j x_j t^j and t x' = A x + B u reads (j I - A) x_j = B u_j: no projection is used
    x = sum(np.linalg.solve(j * np.eye(n) - A, B * c) * t**j for j, c in enumerate(u.coef))
    np.testing.assert_allclose(x @ legendre(n, SIGMA), u(t * 0.5 * (SIGMA + 1)), rtol=0, atol=1e-12)


@pytest.mark.parametrize("n", ORDERS)
def test_legt_state_is_the_projection_of_a_polynomial_onto_its_window(n):
    # x_k(t) = 1/2 int_{t-2}^t u(s) p_k(s - t + 1) ds obeys x' = A x + B u while deg u < n
    u = Polynomial(np.random.default_rng(n).standard_normal(min(n, 12)))
    A, B = legt(n)
    t = 0.8
    half = 0.5 * WEIGHTS * legendre(n, SIGMA)
    x, dx = half @ u(t - 1 + SIGMA), half @ u.deriv()(t - 1 + SIGMA)
    np.testing.assert_allclose(dx, A @ x + B * u(t), rtol=0, atol=1e-12 * n**2)


def fourier_basis(n: int, s: np.ndarray) -> np.ndarray:
    k = np.arange(n // 2)[:, None]
    basis = np.sqrt(2) * np.stack([np.cos(np.pi * k * s), np.sin(np.pi * k * s)], axis=1).reshape(n, -1)
    basis[0] /= np.sqrt(2)
    return basis


@pytest.mark.parametrize("n", [2, 4, 8, 32])
def test_fourier_state_is_the_projection_of_a_trigonometric_input_onto_its_window(n):
    # x_k(t) = 1/2 int_0^2 u(t - s) p_k(s) ds obeys x' = A x + B u for u in the span of the basis
    A, B = fourier(n)
    s, t, h = SIGMA + 1, 0.37, WEIGHTS / 2
    basis = fourier_basis(n, s)
    live = np.arange(n) != 1  # the sine of frequency zero is not a function
    gram = (basis * h) @ basis.T
    np.testing.assert_allclose(gram, np.diag(live * 1.0), atol=1e-12)
    coef = np.random.default_rng(n).standard_normal(n)
    k_pi = np.pi * np.arange(n // 2)
    d_coef = np.stack([k_pi * coef[1::2], -k_pi * coef[0::2]], axis=1).reshape(-1)  # d/ds: cos -> -sin, sin -> cos
    x, dx = (basis * h) @ (coef @ fourier_basis(n, t - s)), (basis * h) @ (d_coef @ fourier_basis(n, t - s))
    u_now = coef @ fourier_basis(n, np.array([t]))
    np.testing.assert_allclose(dx, A @ x + B * u_now, rtol=0, atol=1e-10)


def test_fourier_state_without_a_basis_function_is_dead():
    A, B = fourier(8)
    assert not A[1].any()
    assert not A[:, 1].any()
    assert B[1] == 0


@pytest.mark.parametrize("n", [2, 8, 32, 64])
@pytest.mark.parametrize("measure", MEASURES)
def test_every_live_state_decays(measure, n):
    A, _ = hippo(measure, n)
    if measure == "fourier":
        A = np.delete(np.delete(A, 1, axis=0), 1, axis=1)
    if measure == "legs":
        assert np.diag(A).max() == -1
    else:
        assert np.linalg.eigvals(A).real.max() < -1e-6


def test_mistakes_are_told_in_one_line():
    with pytest.raises(UserError, match="did you mean 'fourier'"):
        hippo("fourrier", 8)
    with pytest.raises(UserError, match="even number"):
        fourier(7)
    for n in (0, -1, 2.0, True):
        with pytest.raises(UserError, match="whole number"):
            legs(n)
