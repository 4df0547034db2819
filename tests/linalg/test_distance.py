"""Distances of systems: Theorems 1-3 of P1 = arXiv 2310.01698 with their numbers; an oracle for either norm."""

import numpy as np
import pytest
from numpy.polynomial.legendre import leggauss

from src.linalg import distance, legs_transfer
from src.linalg.transfer import System, diag_system, dplr_system, impulse_response, ptd_system, transfer_function
from tests.linalg.systems import modal, solve


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.mark.parametrize(
    ("n", "decaying", "impulse"),
    [
        (4, 0.1109, 0.468),
        (8, 0.05588, 0.492),
        (16, 0.02795, 0.498),
        (32, 0.013975, 0.4995),
        (64, 0.006988, 0.4999),
        (128, 0.003494, 0.49997),
    ],
)
def test_theorems_1_and_2_a_decaying_input_converges_and_the_impulse_does_not(n, decaying, impulse):
    S4, S4D = dplr_system(n), diag_system(n)
    assert distance.l2_distance(S4, S4D, decay=1.5) == pytest.approx(decaying, rel=5e-4)
    assert distance.l2_distance(S4, S4D) == pytest.approx(impulse, abs=5e-4)


def test_theorem_1_is_a_linear_rate():
    gap = [distance.l2_distance(dplr_system(n), diag_system(n), decay=1.5) for n in (8, 16, 32)]
    np.testing.assert_allclose(np.divide(gap[:-1], gap[1:]), 2, rtol=2e-3)


@pytest.mark.parametrize("decay", [None, 0.7])
def test_l2_distance_is_the_integral_of_the_squared_difference_in_time_and_in_frequency(decay, rng):
    first, second = dplr_system(5, rng.standard_normal(5)), modal(diag_system(5, rng.standard_normal(5)))
    u = (lambda s: 1.0) if decay is None else (lambda s: 1 / (s + decay))
    G1, G2 = transfer_function(first), transfer_function(second)
    nodes, weights = leggauss(2000)
    theta = np.pi / 2 * nodes  # w = tan(theta) maps the axis onto an interval
    w, dw = 10 * np.tan(theta), 10 * np.pi / 2 * weights / np.cos(theta) ** 2
    squared = np.sum(np.abs((G1(1j * w) - G2(1j * w)) * u(1j * w)) ** 2 * dw) / (2 * np.pi)  # Parseval
    assert distance.l2_distance(first, second, decay) == pytest.approx(np.sqrt(squared), rel=1e-9)
    if decay is None:
        t = 30 * (nodes + 1)
        h = impulse_response(first, t) - impulse_response(second, t)
        assert distance.l2_distance(first, second) == pytest.approx(
            np.sqrt(np.sum(30 * weights * np.abs(h) ** 2)), rel=1e-9
        )


def test_l2_distance_counts_the_direct_term_and_refuses_what_is_infinite():
    n = 4
    system = dplr_system(n)
    shifted = System(system.A, system.B, system.C, D=0.5)
    assert distance.l2_distance(shifted, system, decay=2.0) == pytest.approx(0.5 / np.sqrt(4.0))
    with pytest.raises(ValueError, match="infinite"):
        distance.l2_distance(shifted, system)
    with pytest.raises(ValueError, match="stable"):
        distance.l2_distance(system, ptd_system(n, 2 * np.eye(n)))
    with pytest.raises(ValueError, match="stable"):
        distance.l2_distance(system, diag_system(n), decay=-1.0)


@pytest.mark.parametrize("n", [4, 16, 64])
def test_sup_distance_of_s4_and_s4d_tends_to_two_over_pi_at_the_last_spike(n):
    value, frequency = distance.sup_distance(dplr_system(n), diag_system(n))
    assert value == pytest.approx(2 / np.pi, rel=1.0 / n**2 + 2e-2 * (n < 16))
    assert frequency == pytest.approx(legs_transfer.last_spike(n), rel=1e-3)


def test_sup_distance_of_a_thousand_states_from_the_closed_form():
    n = 1000
    w = legs_transfer.pole_frequencies(n, 20)
    poles = np.concatenate([-0.5 + 1j * w, [-1.0]])

    def difference(s):
        G = legs_transfer.g_dplr(n, s)
        return legs_transfer.g_diag_from_dplr(n, s, G) - G

    value, frequency = distance.sup_on_axis(difference, poles)
    assert value == pytest.approx(2 / np.pi, rel=1e-5)
    assert frequency == pytest.approx(legs_transfer.last_spike(n), rel=1e-6)


@pytest.mark.parametrize("field", ["real", "complex"])
def test_sup_distance_is_the_h_infinity_norm_by_the_hamiltonian_criterion(field):
    # ||G|| < g exactly when [[A, B B^* / g], [-C^* C / g, -A^*]] has no imaginary eigenvalue (Boyd, Balakrishnan 1990)
    n, rng = 6, np.random.default_rng(3)
    E = rng.standard_normal((n, n)) + (1j * rng.standard_normal((n, n)) if field == "complex" else 0)
    first, second = dplr_system(n, rng.standard_normal(n)), ptd_system(n, 0.1 * E, rng.standard_normal(n))
    A = np.block([[first.A, np.zeros((n, n))], [np.zeros((n, n)), second.A]])
    B, C = np.concatenate([first.B, second.B])[:, None], np.concatenate([first.C, -second.C])[None]
    value, frequency = distance.sup_distance(first, second)
    assert abs(solve(first, [1j * frequency]) - solve(second, [1j * frequency]))[0] == pytest.approx(value, rel=1e-9)

    def crosses(g):
        H = np.block([[A, B @ B.conj().T / g], [-C.conj().T @ C / g, -A.conj().T]])
        return np.abs(np.linalg.eigvals(H).real).min() < 1e-7

    assert crosses(value * (1 - 1e-4))
    assert not crosses(value * (1 + 1e-4))


def test_sup_distance_sees_the_direct_term_and_the_sign_of_the_frequency():
    system = dplr_system(3)
    assert distance.sup_distance(System(system.A, system.B, system.C, D=3.0), system).value == pytest.approx(3.0)
    # 1 / (s - (-1/10 - 7i)) is largest at w = -7, with value 10
    one = System(np.array([-0.1 - 7j]), np.ones(1), np.ones(1))
    zero = System(np.array([-1.0]), np.zeros(1), np.ones(1))
    value, frequency = distance.sup_distance(one, zero)
    assert value == pytest.approx(10.0)
    assert frequency == pytest.approx(-7.0)


@pytest.mark.parametrize("n", [4, 16, 48])
@pytest.mark.parametrize("eps", [1e-4, 1e-2, 0.3])
def test_theorem_3_bounds_the_effect_of_a_perturbation(n, eps):
    rng = np.random.default_rng(n)
    E = rng.standard_normal((n, n))
    E *= eps / np.linalg.norm(E, 2)
    C = rng.standard_normal(n)
    S4, PTD = distance.normalised(dplr_system(n, C)), distance.normalised(ptd_system(n, E, C))
    actual = distance.sup_distance(S4, PTD).value
    assert 0 < actual <= distance.resolvent_bound(eps)
    assert actual <= distance.theorem3_bound(n, eps)
    assert distance.theorem3_bound(n, eps) == pytest.approx((2 * np.log(n) + 4) * eps)


def test_the_effect_of_a_perturbation_is_of_first_order(rng):
    n = 12
    E = rng.standard_normal((n, n))
    E /= np.linalg.norm(E, 2)
    value = [distance.sup_distance(dplr_system(n), ptd_system(n, eps * E)).value for eps in (1e-3, 1e-4)]
    assert value[0] / value[1] == pytest.approx(10, rel=2e-2)


def test_resolvent_bound_is_attained_by_one_state():
    # a scalar system at -1/2, the edge of the half plane that holds the numerical range of A_H
    eps = 0.1
    first = System(np.array([-0.5]), np.ones(1), np.ones(1))
    second = System(np.array([-0.5 + eps]), np.ones(1), np.ones(1))
    assert distance.sup_distance(first, second).value == pytest.approx(distance.resolvent_bound(eps), rel=1e-9)
    assert distance.resolvent_bound(0.5) == np.inf
