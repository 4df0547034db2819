"""P2's Propositions 1 and 3: the solutions are exact, and only the complex one is moderate."""

from fractions import Fraction

import numpy as np
import pytest

from src.theory.bounds import theorem2
from src.theory.solutions import Solution, proposition1, proposition3
from src.theory.targets import TASKS, target

LENGTHS = [1, 2, 3, 8, 63, 256]


def rational_grid(n: int) -> np.ndarray:
    """n distinct real eigenvalues in (-1, 1), exact."""
    return np.array([Fraction(2 * j - n + 1, n + 1) for j in range(n)], dtype=object)


def exact(values: np.ndarray) -> np.ndarray:
    return np.array([Fraction(x) for x in values.tolist()], dtype=object)


@pytest.mark.parametrize("t", LENGTHS)
def test_proposition3_is_exact_with_moderate_parameters(t):
    phi = np.random.default_rng(t).normal(size=t)
    solution = proposition3(phi)
    assert len(solution.A) == t
    np.testing.assert_allclose(solution.response(t), phi, rtol=0, atol=1e-12 * np.linalg.norm(phi))
    assert np.abs(solution.A).max() < 1
    assert np.linalg.norm(solution.B) <= 2 * np.linalg.norm(phi) * (1 + 1e-14)
    assert np.linalg.norm(solution.C) <= 1 + 1e-14


def test_norm_of_B_reaches_its_bound():
    """The factor 2 of Proposition 3 is reached by a phi whose mass lies in its last entry."""
    phi = np.zeros(32)
    phi[-1] = 1.0
    assert np.linalg.norm(proposition3(phi).B) == pytest.approx(2.0, rel=1e-13)


def test_proposition3_with_more_states_than_entries():
    phi = target("random", 8, 0)
    solution = proposition3(phi, n=11)
    assert solution.A.shape == solution.B.shape == solution.C.shape == (11,)
    np.testing.assert_allclose(solution.response(8), phi, atol=1e-15)
    with pytest.raises(ValueError, match="t <= n"):
        proposition3(phi, n=7)


@pytest.mark.parametrize("t", [1, 2, 3, 9, 32])
@pytest.mark.parametrize("task", TASKS)
def test_proposition1_is_exact_in_rational_arithmetic(task, t):
    A, phi = rational_grid(t + 2), exact(target(task, t, 0))
    w = proposition1(A, phi)
    assert [sum(w * A**k) for k in range(t)] == phi.tolist()
    assert w[t:].tolist() == [0, 0]


@pytest.mark.parametrize("t", [9, 16, 32])
@pytest.mark.parametrize("task", TASKS)
def test_exact_real_solutions_obey_theorem2_and_complex_ones_show_the_gap(task, t):
    phi = target(task, t, 0)
    w = proposition1(rational_grid(t), exact(phi))
    needed, complex_solution = theorem2(phi, 0.0), proposition3(phi)
    assert needed <= t * float(max(abs(w)))
    assert t * np.abs(complex_solution.B * complex_solution.C).max() <= 2 * np.sqrt(t)
    if task in ("alternation", "decay"):  # what one real state answers costs a real SSM nothing
        assert needed < 1
    else:
        assert needed > {9: 10, 16: 50, 32: 1e4}[t]


def test_proposition1_for_complex_eigenvalues_in_float64():
    t = 16
    A = 0.98 * np.exp(2j * np.pi * np.arange(t) / t)
    phi = target("random", t, 1)
    w = proposition1(A, phi)
    assert w.dtype == np.complex128
    np.testing.assert_allclose(Solution(A, w, np.ones(t)).response(t), phi, rtol=0, atol=1e-12)


def test_proposition1_needs_distinct_eigenvalues_and_enough_of_them():
    with pytest.raises(ValueError, match="distinct"):
        proposition1(np.array([0.5, 0.5]), np.ones(2))
    with pytest.raises(ValueError, match="n >= t"):
        proposition1(np.array([0.5]), np.ones(2))
