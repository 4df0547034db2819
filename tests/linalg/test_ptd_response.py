"""What `ptd.response` proves, checked: outputs that E keeps, similarity transforms, and what a slow input reaches."""

import numpy as np
import pytest

from src.linalg.hippo import legs
from src.linalg.ptd import load_perturbation, random_perturbation
from src.linalg.ptd.named import DATA
from src.linalg.ptd.objective import Eigensystem
from src.linalg.ptd.response import Response
from src.linalg.transfer import System, dplr_system, transfer_function
from src.linalg.worst_output import legs_state, perturbed_state, worst_distance

W = np.array([0.0, 0.3, 1.0, 7.0, 40.0, 500.0])


@pytest.mark.parametrize("n", [4, 9])
@pytest.mark.parametrize("k", [0, 2])
def test_zero_rows_keep_the_first_outputs_and_nothing_else_does(n, k):
    E = random_perturbation(n, 0.1, seed=0).E
    gap = lambda E: np.abs(perturbed_state(E, 1j * W) - legs_state(n, 1j * W)).max(axis=1)
    kept = E.copy()
    kept[: k + 1] = 0.0
    assert gap(kept)[: k + 1].max() < 1e-12
    assert gap(kept)[k + 1 :].min() > 1e-6
    Lambda = np.linalg.eigvals(legs(n)[0] + kept)
    for j in range(k + 1):  # the closed equations of the first states
        assert np.abs(Lambda + (j + 1)).min() < 1e-8
    for row in range(k + 1):  # any of these rows moves one of these outputs
        moved = kept.copy()
        moved[row, n - 1] = 0.01
        assert gap(moved)[: k + 1].max() > 1e-6


def test_a_similarity_transform_that_fixes_B_and_an_output_keeps_it_and_the_eigenvalues():
    n, rng = 6, np.random.default_rng(0)
    A, B = legs(n)
    C = rng.standard_normal(n)
    K = rng.standard_normal((n, n))
    K -= np.outer(K @ B, B) / (B @ B)  # K B = 0
    K -= np.outer(C, C @ K) / (C @ C)  # C K = 0; K B stays 0
    T = np.eye(n) + 0.2 * K
    np.testing.assert_allclose(T @ B, B)
    np.testing.assert_allclose(C @ T, C)
    changed = System(T @ A @ np.linalg.inv(T), B, C)
    np.testing.assert_allclose(
        transfer_function(changed)(1j * W), transfer_function(dplr_system(n, C))(1j * W), atol=1e-10
    )
    np.testing.assert_allclose(np.sort(changed.poles.real), -np.arange(n, 0.0, -1.0), atol=1e-8)
    assert worst_distance(changed.A - A).value > 1e-3  # other outputs move


@pytest.mark.parametrize("n", [8, 16, 32, 64, 128])
def test_no_E_of_the_published_size_keeps_an_output_of_full_order(n):
    """It would keep the eigenvalues -1 .. -n, and ||A_H + E|| <= kappa n: E would have to be many times larger."""
    found = load_perturbation(DATA / f"ptbHiPPO{n}.mat")
    A = legs(n)[0]
    least = 1 - found.cond * n / np.linalg.norm(A, 2)
    assert np.linalg.norm(A + found.E, 2) <= found.cond * np.abs(found.Lambda).max() * (1 + 1e-9)
    assert least > found.size or n < 32
    if n == 32:
        assert least == pytest.approx(0.67, abs=0.01)


@pytest.mark.parametrize("n", [1, 2, 7, 64])
def test_what_a_slow_input_reaches(n):
    x = legs_state(n, 1j * W)
    for m in range(n + 1):
        exact = W**2 * (n**2 - m**2) / ((W**2 + m**2) * (W**2 + n**2)) if m else n**2 / (W**2 + n**2)
        np.testing.assert_allclose(np.sum(np.abs(x[m:]) ** 2, axis=0), exact, atol=1e-12)
    np.testing.assert_allclose(
        np.linalg.norm(x, axis=0) / np.linalg.norm(legs(n)[1]), 1 / np.sqrt(W**2 + n**2), rtol=1e-12
    )


@pytest.mark.parametrize("m", [1, 4])
def test_an_E_that_reads_fast_states_only_moves_slow_responses_by_its_bound(m):
    n = 16
    E = random_perturbation(n, 0.05, seed=1).E - 8 * np.eye(n)  # stable
    E[:, :m] = 0.0
    A, B = legs(n)
    M, w = A + E, W[1:]
    gap = np.linalg.norm(perturbed_state(E, 1j * w) - legs_state(n, 1j * w), axis=0) / np.linalg.norm(B)
    resolvent = np.array([np.linalg.norm(np.linalg.inv(1j * v * np.eye(n) - M), 2) for v in w])
    assert np.all(gap <= resolvent * np.linalg.norm(E, 2) * w / (n * np.sqrt(w**2 + m**2)))
    Lambda, V = np.linalg.eig(M)
    assert np.all(resolvent <= np.linalg.cond(V) / np.abs(1j * w[:, None] - Lambda).min(axis=1))


@pytest.mark.parametrize("real", [True, False])
def test_the_smooth_distance_bounds_the_exact_one_from_its_grid(real):
    n = 12
    E = random_perturbation(n, 0.05, seed=2, real=real).E - 6 * np.eye(n)
    system = Eigensystem.of(legs(n)[0] + E)
    response = Response.around(system.Lambda, real)
    exact, grid = worst_distance(E).value, response.largest_gap(system)
    assert 0.9 * exact < grid <= exact * (1 + 1e-9)
    for half in (8, 128):
        excess = response(system, half).value - np.log(grid)
        assert 0 <= excess <= np.log(len(response.frequencies)) / (2 * half) + 0.05
