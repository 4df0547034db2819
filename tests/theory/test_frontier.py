"""The exact frontier in squared L2: two bounds that meet, against brute force and against trained-like SSMs."""

import numpy as np
import pytest
from scipy.optimize import nnls

from src.theory.frontier import Frontier
from src.theory.price import copy_price, oscillation_price
from src.theory.targets import TASKS, target

HARD = ("delay", "random", "oscillation")


@pytest.fixture(scope="module")
def frontiers():
    return {task: Frontier(target(task, 32, 0)) for task in TASKS}


@pytest.mark.parametrize("task", HARD)
def test_the_bounds_meet_from_1_to_1e8(frontiers, task):
    for M in 10.0 ** np.arange(0, 9):
        point = frontiers[task].at(M)
        assert 0 < point.lower <= point.upper <= point.lower * (1 + 5e-5)


@pytest.mark.parametrize("task", HARD)
def test_the_upper_bound_is_an_ssm(frontiers, task):
    """Its poles are in [-1, 1], its weights sum to M, and its response, summed as it stands, has that error."""
    for M in (1.0, 1e2, 1e4):
        point = frontiers[task].at(M)
        support = point.support
        K = support.powers(32) @ support.w
        assert np.abs(support.w).sum() == pytest.approx(M, rel=1e-9)
        assert np.sum((K - target(task, 32, 0)) ** 2) == pytest.approx(point.upper, rel=1e-7)


@pytest.mark.parametrize("task", HARD)
def test_against_nonnegative_least_squares_on_a_grid(frontiers, task):
    """A slow reference: weights on 2,001 poles of either sign; the grid can only be a little worse than the frontier."""
    phi = target(task, 32, 0)
    V = np.power.outer(np.cos(np.linspace(0, np.pi, 2001)), np.arange(32)).T
    for M in (0.5, 10.0):
        A = np.block([[M * V, -M * V, np.zeros((32, 1))], [1e3 * np.ones((1, 4003))]])
        error = nnls(A, np.append(phi, 1e3), maxiter=20_000)[1] ** 2
        point = frontiers[task].at(M)
        assert point.lower <= error * (1 + 1e-6)
        assert error <= point.upper * (1 + 1e-3)


@pytest.mark.parametrize("seed", range(6))
def test_no_real_ssm_is_below_the_lower_bound(seed):
    rng = np.random.default_rng(seed)
    t = int(rng.integers(2, 24))
    phi, frontier = rng.normal(size=t), Frontier(rng.normal(size=t))
    phi = frontier.phi
    for _ in range(20):
        n = int(rng.integers(1, 9))
        a = rng.uniform(-1, 1, n)
        V = np.power.outer(a, np.arange(t)).T
        w = np.linalg.lstsq(V, phi, rcond=None)[0]
        error = float(np.sum((V @ w - phi) ** 2))
        assert frontier.at(float(np.abs(w).sum())).lower <= error * (1 + 1e-9)


def test_the_frontier_falls_with_the_size_and_does_not_depend_on_the_way_there(frontiers):
    fresh = Frontier(target("delay", 32, 0))
    for M in (1e5, 10.0, 1e3):
        assert fresh.at(M).upper == pytest.approx(frontiers["delay"].at(M).upper, rel=1e-5)
    errors = [frontiers["delay"].at(M).upper for M in 10.0 ** np.arange(0, 9)]
    assert (np.diff(errors) < 0).all()


def test_it_ends_at_the_exact_price():
    """Where the price of an exact answer is small enough for float64 the frontier reaches 0 there, and not before."""
    for task, whole, norm in (("delay", copy_price(8), 1.0), ("oscillation", oscillation_price(8), 2.0)):
        frontier = Frontier(target(task, 8))
        assert frontier.at(1.001 * whole / norm).upper < 1e-20
        assert frontier.at(0.99 * whole / norm).lower > 1e-9


def test_easy_targets_are_answered_with_little(frontiers):
    for task in ("alternation", "decay"):
        phi = target(task, 32)
        first = float(np.abs(phi[0]))  # one pole with the first entry as its weight answers exactly
        assert frontiers[task].at(1.01 * first).upper < 1e-12
        assert frontiers[task].at(0.9 * first).lower > 1e-4
        assert frontiers[task].excess(2 * first, 1e-3) is None


def test_excess_and_price_are_inverse_to_the_frontier(frontiers):
    copy = frontiers["delay"]
    point = copy.at(1e4)
    assert copy.excess(1e4, 1.1 * point.upper) == pytest.approx(0.1, abs=1e-5)
    assert copy.price(point.upper) == pytest.approx(1e4, rel=2e-3)
    assert copy.price(1.0) == 0.0
    assert copy.price(1e-6) == 1e8
    with pytest.raises(ValueError, match="positive"):
        copy.at(0.0)


def test_with_a_million_copy_would_still_miss_by_0_44(frontiers):
    assert frontiers["delay"].at(1e6).lower == pytest.approx(0.4447, abs=1e-4)


@pytest.mark.parametrize(("task", "t"), [("delay", 8), ("oscillation", 16), ("decay", 16), ("delay", 32)])
def test_least_is_between_the_points_too(task, t):
    """A certified lower bound within 1e-3 of E at every size, also where E falls to 0 at the exact price."""
    frontier = Frontier(target(task, t))
    sizes = np.geomspace(1e-2, 1e4, 60)
    found = frontier.least(sizes)
    for M, least in zip(sizes, found, strict=True):
        point = Frontier(frontier.phi).at(float(M))
        assert least <= point.upper * (1 + 1e-9) + 1e-15
        assert least >= point.lower * (1 - 1e-3) - 1e-8


def test_a_price_is_a_lower_bound_at_every_error(frontiers):
    for task in TASKS:
        for error in (0.9, 0.5, 1e-2, 1e-10):
            M = frontiers[task].price(error)
            if 0 < M < 1e8:
                assert frontiers[task].at(M * (1 - 1e-9)).upper > error * (1 - 1e-6)
                assert frontiers[task].at(M * (1 + 3e-3)).lower <= error
