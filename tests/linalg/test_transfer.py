"""Transfer functions and impulse responses: every way to compute one agrees with the definition."""

import numpy as np
import pytest
from numpy.polynomial.legendre import leggauss

from src.linalg.discretise import bilinear, bilinear_diagonal
from src.linalg.hippo import hippo, legs
from src.linalg.nplr import nplr
from src.linalg.transfer import (
    System,
    diag_system,
    discrete_impulse_response,
    dplr_system,
    impulse_response,
    ptd_system,
    transfer_dplr,
    transfer_function,
)
from tests.linalg.systems import modal, solve

S = np.concatenate([1j * np.array([0.0, 0.3, -2.0, 80.97, 1e4]), [2.0 + 3j, 0.5, -0.2 + 1j]])


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.mark.parametrize("n", [1, 2, 9, 32])
def test_dense_and_diagonal_transfer_functions_are_the_definition(n, rng):
    C = rng.standard_normal(n)
    E = 0.1 * (rng.standard_normal((n, n)) + 1j * rng.standard_normal((n, n)))
    for system in (dplr_system(n, C), diag_system(n, C), ptd_system(n, E, C), System(*legs(n), C, D=1.5 - 2j)):
        np.testing.assert_allclose(transfer_function(system)(S), solve(system, S), rtol=1e-10, atol=1e-12)
    diag = System(diag_system(n).A, diag_system(n).B, C, D=0.7)
    np.testing.assert_allclose(transfer_function(modal(diag))(S), solve(diag, S), rtol=1e-10, atol=1e-12)
    assert transfer_function(diag)(S.reshape(2, 4)).shape == (2, 4)
    assert transfer_function(diag)(1j).shape == ()


@pytest.mark.parametrize("measure", ["legs", "legt", "fourier"])
@pytest.mark.parametrize("rank", [2, 3])
def test_woodbury_is_the_definition_for_every_measure(measure, rank, rng):
    n, s = 12, np.array([[1j * 0.3, 2.0 - 5j], [40j, 1.0]])
    A, B = hippo(measure, n)
    C = rng.standard_normal(n)
    f = nplr(measure, n, rank)
    G = transfer_dplr(f.Lambda, f.P, f.B, C @ f.V, s)
    np.testing.assert_allclose(G.ravel(), solve(System(A, B, C), s.ravel()), rtol=1e-12)


def test_impulse_response_has_the_transfer_function_as_laplace_transform(rng):
    system = diag_system(6, rng.standard_normal(6))
    nodes, weights = leggauss(400)
    t = 20 * (nodes + 1)  # exp(-t (1/2 + 1)) is below 1e-26 at the end
    for s in (1.0, 1.0 + 2j):
        for form in (system, modal(system)):
            integrand = 20 * weights * impulse_response(form, t) * np.exp(-s * t)
            size = np.abs(integrand).sum()  # the integral itself may cancel
            np.testing.assert_allclose(integrand.sum(), transfer_function(system)(s), rtol=0, atol=1e-12 * size)
    assert impulse_response(system, 0.0) == pytest.approx(system.C @ system.B)


def test_discrete_impulse_response_is_a_power_series_and_agrees_with_the_bilinear_transfer_function(rng):
    dt, z = 0.1, 1.3 * np.exp(0.4j)
    system = diag_system(6, rng.standard_normal(6))
    Abar, Bbar = bilinear(system.A, system.B, dt)
    K = discrete_impulse_response(Abar, Bbar, system.C, 150)
    # sum_k K[k] z^-(k+1) = C (zI - Abar)^-1 Bbar = 2 / (z+1) G(s) at s = 2/dt (z-1)/(z+1)
    s = 2 / dt * (z - 1) / (z + 1)
    series = np.sum(K * z ** -(np.arange(150) + 1.0))
    np.testing.assert_allclose(series, 2 / (z + 1) * transfer_function(system)(s), rtol=1e-10)
    form = modal(system)
    K_modal = discrete_impulse_response(*bilinear_diagonal(form.A, form.B, dt), form.C, 150)
    np.testing.assert_allclose(K_modal, K, rtol=0, atol=1e-12)


def test_shapes_of_a_system_are_checked():
    with pytest.raises(ValueError, match="expected A"):
        System(np.eye(3), np.ones(2), np.ones(3))
    with pytest.raises(ValueError, match="expected A"):
        dplr_system(4, np.ones(3))


def test_poles_of_s4_are_exact_although_its_eigenvectors_are_hopeless():
    n = 64
    assert np.array_equal(np.sort(dplr_system(n).poles.real), -np.arange(n, 0.0, -1))
    poles = diag_system(8).poles
    np.testing.assert_allclose(poles[np.argsort(poles.imag)], nplr("legs", 8).Lambda, rtol=1e-12)
