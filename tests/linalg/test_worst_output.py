"""The worst output of S4-PTD against S4: closed forms against solves, and a supremum that dominates every C and both bounds hold."""

import numpy as np
import pytest

from src.linalg.distance import normalised, resolvent_bound, sup_distance, theorem3_bound
from src.linalg.hippo import legs
from src.linalg.ptd import random_perturbation
from src.linalg.transfer import System, dplr_system
from src.linalg.worst_output import legs_state, perturbed_state, worst_distance


@pytest.mark.parametrize("n", [1, 2, 7, 32])
def test_the_state_of_legs_is_the_solution_of_its_linear_system(n):
    A, B = legs(n)
    s = np.array([0.3 + 0.2j, 1j, 40j, -0.2 + 7j])
    x = legs_state(n, s)
    for k, value in enumerate(s):
        np.testing.assert_allclose((value * np.eye(n) - A) @ x[:, k], B, rtol=0, atol=1e-9 * n * n)


def test_no_perturbation_is_no_distance():
    s = 1j * np.array([0.1, 3.0, 200.0])
    np.testing.assert_allclose(perturbed_state(np.zeros((16, 16)), s), legs_state(16, s), rtol=1e-8, atol=1e-10)
    assert worst_distance(np.zeros((16, 16))).value < 1e-10


@pytest.mark.parametrize("n", [4, 16])
@pytest.mark.parametrize("eps", [1e-3, 0.1, 0.4])
def test_the_supremum_dominates_every_output_and_obeys_the_bounds(n, eps):
    E = random_perturbation(n, 0.1, seed=0).E
    E = eps * E / np.linalg.norm(E, 2)
    worst = worst_distance(E)
    rng = np.random.default_rng(1)
    for _ in range(5):
        C = rng.standard_normal(n)
        pair = (dplr_system(n, C), System(legs(n)[0] + E, legs(n)[1], C))
        assert sup_distance(*map(normalised, pair)).value <= worst.value * (1 + 1e-9)
    gap = (perturbed_state(E, 1j * np.array([worst.frequency])) - legs_state(n, 1j * np.array([worst.frequency])))[:, 0]
    C = gap.conj() / np.linalg.norm(gap)  # the output that attains it
    attained = abs(C @ gap) / np.linalg.norm(legs(n)[1])
    assert attained == pytest.approx(worst.value, rel=1e-9)
    assert worst.value <= resolvent_bound(eps)
    assert eps > 0.1 or worst.value <= theorem3_bound(n, eps)
