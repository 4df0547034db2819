"""Discretisation rules: dense against diagonal, exactness, measured order of convergence, stability."""

import numpy as np
import pytest
from numpy.polynomial.legendre import leggauss

from src.linalg import discretise as rules
from src.linalg.hippo import legs
from src.linalg.nplr import nplr

DENSE = {"zoh": rules.zoh, "bilinear": rules.bilinear, "euler_zoh": rules.euler_zoh}
DIAGONAL = {
    "zoh": rules.zoh_diagonal,
    "bilinear": rules.bilinear_diagonal,
    "euler_zoh": rules.euler_zoh_diagonal,
}


@pytest.mark.parametrize("rule", DENSE)
@pytest.mark.parametrize("dt", [1e-6, 1e-3, 0.1, 1.0])
def test_diagonal_rule_is_the_dense_rule_of_a_diagonal_matrix(rule, dt):
    rng = np.random.default_rng(0)
    Lambda = np.concatenate([nplr("legs", 8).Lambda, [0.0, -3.0, 2j]])
    B = rng.standard_normal(11) + 1j * rng.standard_normal(11)
    A_dense, B_dense = DENSE[rule](np.diag(Lambda), B, dt)
    A_diag, B_diag = DIAGONAL[rule](Lambda, B, dt)
    np.testing.assert_allclose(A_dense, np.diag(A_diag), rtol=0, atol=1e-13)
    np.testing.assert_allclose(B_dense, B_diag, rtol=1e-12, atol=1e-13 * dt)


@pytest.mark.parametrize("rule", DENSE)
def test_rules_commute_with_a_change_of_basis_and_keep_real_systems_real(rule):
    A, B = legs(12)
    Lambda, P, B_modal, V = nplr("legs", 12)
    A_modal = np.diag(Lambda) - P @ P.conj().T
    Abar, Bbar = DENSE[rule](A, B, 0.05)
    Abar_modal, Bbar_modal = DENSE[rule](A_modal, B_modal, 0.05)
    assert Abar.dtype == Bbar.dtype == np.float64
    np.testing.assert_allclose(V @ Abar_modal @ V.conj().T, Abar, atol=1e-12)
    np.testing.assert_allclose(V @ Bbar_modal, Bbar, atol=1e-12)


def test_several_inputs_are_columns():
    A, B = legs(6)
    both = np.stack([B, B[::-1]], axis=1)
    for rule in DENSE.values():
        _, Bbar = rule(A, both, 0.1)
        np.testing.assert_allclose(Bbar[:, 0], rule(A, B, 0.1)[1], rtol=1e-13)
        np.testing.assert_allclose(Bbar[:, 1], rule(A, B[::-1], 0.1)[1], rtol=1e-13)


def exact_state(Lambda, B, u, t):
    """int_0^t exp((t - s) Lambda) B u(s) ds by 300-point Gauss quadrature."""
    nodes, weights = leggauss(300)
    s = t / 2 * (nodes + 1)
    return (t / 2 * weights * u(s) * np.exp(np.outer(Lambda, t - s))).sum(axis=1) * B


def march(Abar, Bbar, u):
    x = np.zeros(len(Abar), dtype=complex)
    for u_k in u:
        x = Abar * x + Bbar * u_k
    return x


@pytest.mark.parametrize("dt", [0.5, 0.01])
def test_zoh_is_exact_for_an_input_that_is_constant_on_each_step(dt):
    A, B = legs(10)
    rng = np.random.default_rng(1)
    u = rng.standard_normal(7)
    Abar, Bbar = rules.zoh(A, B, dt)
    fine_A, fine_B = rules.zoh(A, B, dt / 8)
    x, fine = np.zeros(10), np.zeros(10)
    for u_k in u:
        x = Abar @ x + Bbar * u_k
        for _ in range(8):
            fine = fine_A @ fine + fine_B * u_k
    np.testing.assert_allclose(fine, x, rtol=0, atol=1e-12)
    # one step from rest against the integral itself
    Lambda = np.array([-1.0, -0.5 + 9j, -2.0 - 3j])
    expected = exact_state(Lambda, 1.0, lambda s: 1 + 0 * s, dt)
    np.testing.assert_allclose(rules.zoh_diagonal(Lambda, 1.0, dt)[1], expected, rtol=1e-13)


@pytest.mark.parametrize(
    ("rule", "sample", "order"),
    [
        ("bilinear", lambda u, t, dt: (u(t) + u(t + dt)) / 2, 2),
        ("zoh", lambda u, t, dt: u(t), 1),
        ("zoh", lambda u, t, dt: u(t + dt / 2), 2),
        ("euler_zoh", lambda u, t, dt: u(t), 1),
    ],
    ids=["bilinear", "zoh-left", "zoh-middle", "euler_zoh"],
)
def test_measured_order_of_convergence_for_a_smooth_input(rule, sample, order):
    Lambda, B = np.array([-1.0, -0.5 + 4j, -0.1 - 7j]), np.array([1.0, 2.0, 1j])
    u = lambda t: np.cos(2 * t) + np.exp(-t)
    exact = exact_state(Lambda, B, u, 2.0)
    errors = []
    for steps in (400, 800, 1600):
        dt = 2.0 / steps
        samples = sample(u, dt * np.arange(steps), dt)
        errors.append(np.abs(march(*DIAGONAL[rule](Lambda, B, dt), samples) - exact))
    measured = np.log2(np.array(errors[:-1]) / np.array(errors[1:]))
    np.testing.assert_allclose(measured, order, atol=0.05)


@pytest.mark.parametrize("dt", [1e-3, 0.1, 10.0])
def test_stability_is_kept(dt):
    A, B = legs(32)
    for rule in DENSE.values():
        Abar, _ = rule(A, B, dt)
        assert np.abs(np.diag(Abar)).max() < 1  # triangular like A
    # A + A^* is negative definite for the split system, so its bilinear form shrinks every state
    assert np.linalg.norm(rules.bilinear(A, B, dt)[0], 2) < 1
    Lambda = nplr("legs", 32).Lambda
    for rule in DIAGONAL.values():
        assert np.abs(rule(Lambda, 1.0, dt)[0]).max() < 1


def test_bilinear_maps_the_imaginary_axis_onto_the_unit_circle():
    Abar, _ = rules.bilinear_diagonal(1j * np.array([0.0, 1.0, 1e6]), 1.0, 0.3)
    np.testing.assert_allclose(np.abs(Abar), 1.0, rtol=1e-15)


def test_phi1_is_right_to_rounding_at_every_scale():
    nodes, weights = leggauss(40)
    directions = np.exp(1j * np.linspace(0, 2 * np.pi, 17))
    for scale in (0.0, 1e-300, 1e-17, 1e-9, 1e-5, 1e-2, 1.0, 5.0):
        z = scale * directions
        integral = (weights / 2 * np.exp(np.outer(z, (nodes + 1) / 2))).sum(axis=1)  # int_0^1 exp(z s) ds
        np.testing.assert_allclose(rules.phi1(z), integral, rtol=2e-14)
        np.testing.assert_allclose(rules.phi1(z.real), rules.phi1(z.real + 0j), rtol=1e-15)


def test_diagonal_rules_broadcast_over_channels():
    Lambda, B, dt = nplr("legs", 4).Lambda, np.ones((3, 4)), np.array([[0.1], [0.2], [0.3]])
    for name, rule in DIAGONAL.items():
        Abar, Bbar = rule(Lambda, B, dt)
        assert Abar.shape == Bbar.shape == (3, 4), name
        np.testing.assert_allclose(Abar[1], rule(Lambda, B[1], 0.2)[0])


def test_wrong_shapes_and_steps_are_refused():
    A, B = legs(4)
    for bad in ((A[:3], B, 0.1), (A, B[:3], 0.1), (A, B, 0.0), (A, B, -1.0), (A, B, np.nan)):
        for rule in DENSE.values():
            with pytest.raises(ValueError, match="expected"):
                rule(*bad)
