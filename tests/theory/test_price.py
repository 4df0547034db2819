"""The exact price of being real: closed forms as theorems, the linear program against them, and bounds that no real SSM breaks."""

from fractions import Fraction

import numpy as np
import pytest

from src.theory import chebyshev
from src.theory.bounds import corollary1, corollary3, theorem2
from src.theory.price import EXACT, copy_price, exact_price, oscillation_price, price
from src.theory.solutions import proposition1
from src.theory.targets import TASKS, raw_target

EVEN = range(8, 17, 2)


def exact(values) -> np.ndarray:
    return np.array([Fraction(x) for x in np.asarray(values).tolist()], dtype=object)


def weights_on(nodes, phi) -> Fraction:
    """||w||_1 of the exact answer to phi with poles at the given nodes: an upper bound on the price at eps = 0."""
    return sum(map(abs, proposition1(exact(nodes), exact(phi))))


@pytest.mark.parametrize("t", [3, *EVEN, 9, 15])
def test_markov_copy_is_attained_on_the_extrema_of_chebyshevs_polynomial(t):
    """T_n has the coefficient, and weights on its extrema (rounded to rationals) answer exactly with hardly more."""
    degree = t - 1 if (t - 1 - (t - 1) // 2) % 2 == 0 else t - 2
    extrema = np.cos(np.pi * np.arange(degree + 1) / degree)
    nodes = extrema if degree == t - 1 else np.append(extrema, 0.123)
    assert copy_price(t) == abs(chebyshev.coefficients(degree)[(t - 1) // 2])
    assert 0 <= weights_on(nodes, raw_target("delay", t)) - copy_price(t) <= 1e-9 * copy_price(t)


@pytest.mark.parametrize("t", [3, 5, 9, 15])
def test_oscillation_is_attained_on_the_extrema_in_a_squared(t):
    """In z = a^2 the response is (-1)^i = sum_j u_j z_j^i, with weights u on the extrema of T_m(2 z - 1); w splits each between +-a."""
    m = (t - 1) // 2
    z = (1 + np.cos(np.pi * np.arange(m + 1) / m)) / 2
    assert 0 <= weights_on(z, (-1.0) ** np.arange(m + 1)) - oscillation_price(t) <= 1e-9 * oscillation_price(t)


def test_oscillation_price_is_the_polynomial_at_three():
    assert [oscillation_price(t) for t in (1, 2, 3, 5, 7)] == [1, 1, 3, 17, 99]
    assert [copy_price(t) for t in (3, 4, 8, 16)] == [1, 3, 56, 28800]


@pytest.mark.parametrize("t", EVEN)
@pytest.mark.parametrize("task", EXACT)
def test_the_program_agrees_with_the_closed_forms(task, t):
    found = price(raw_target(task, t), 0.0)
    assert found <= exact_price(task, t)
    assert found == pytest.approx(exact_price(task, t), rel=2e-5)


@pytest.mark.parametrize("t", EVEN)
@pytest.mark.parametrize("task", ["delay", "oscillation"])
def test_the_program_alone_agrees_too(task, t, monkeypatch):
    """Without the Chebyshev polynomials that `price` tries beside the program."""
    monkeypatch.setattr("src.theory.price._Program.single", lambda self: Fraction(-1))
    assert price(raw_target(task, t), 0.0) == pytest.approx(exact_price(task, t), rel=1e-4)


@pytest.mark.parametrize("t", [8, 16, 32])
def test_random_targets_have_an_upper_bound_from_exact_solutions(t):
    """The best polynomial alternates at t points; the exact answer with poles there costs hardly more than the bound."""
    phi = raw_target("random", t, 1)
    found = price(phi, 0.0)
    grid = np.cos(np.pi * np.arange(t) / (t - 1))
    assert found <= weights_on(grid, phi) <= 3 * found


@pytest.mark.parametrize("seed", range(8))
def test_no_real_ssm_breaks_the_bound(seed):
    """Random real SSMs against targets near their own response, and the bound scales with the target."""
    rng = np.random.default_rng(seed)
    n, t = int(rng.integers(1, 6)), int(rng.integers(4, 20))
    a, w = rng.uniform(-1, 1, n), rng.normal(size=n) * 10.0 ** rng.integers(-2, 3, n)
    K = np.power.outer(a, np.arange(t)).T @ w
    phi = K + 0.01 * np.abs(K).max() * rng.normal(size=t)
    eps = float(np.abs(phi - K).sum()) * (1 + 1e-12)
    found = price(phi, eps)
    assert found <= np.abs(w).sum() * (1 + 1e-12)
    assert price(4 * phi, 4 * eps) == pytest.approx(4 * found, rel=1e-3)


@pytest.mark.parametrize("solution", ["garbage", "none"])
def test_a_wrong_solver_gives_a_weaker_bound_never_a_wrong_one(solution, monkeypatch):
    class Found:
        x = None if solution == "none" else np.random.default_rng(0).normal(size=100)

    monkeypatch.setattr(
        "src.theory.price.linprog",
        lambda cost, *_, **__: type("", (), {"x": Found.x if Found.x is None else Found.x[: len(cost)]}),
    )
    assert 0 <= price(raw_target("random", 16, 0), 0.0) <= 43_832 * 1.01
    assert price(raw_target("delay", 16), 0.0) <= copy_price(16)


@pytest.mark.parametrize("task", TASKS)
def test_theorem2_is_never_above_the_price(task):
    for t in (9, 16, 32):
        phi = raw_target(task, t, 0)
        for share in (1e-6, 0.01, 0.1):
            eps = share * np.abs(phi).sum()
            assert theorem2(phi, eps) <= price(phi, eps) * (1 + 2e-4)


def test_how_loose_theorem2_and_the_corollaries_are():
    """At t = 32 the corollaries are 5 and 7 orders of magnitude below the price at the same error."""
    one, three = corollary1(32), corollary3(32)
    assert price(raw_target("delay", 32), one.eps) > 1e7 * one.bound
    assert price(raw_target("oscillation", 32), three.eps) > 1e5 * three.bound


def test_errors_that_cost_nothing():
    phi = raw_target("delay", 16)
    assert price(phi, 1.0) == 0.0
    assert price(np.zeros(4), 0.0) == 0.0
    with pytest.raises(ValueError, match="not negative"):
        price(phi, -1.0)


@pytest.mark.parametrize("t", [64, 128, pytest.param(256, marks=pytest.mark.slow)])
@pytest.mark.parametrize("task", ["delay", "oscillation"])
def test_long_targets_are_certified(task, t):
    """Exact at eps = 0; below it at a small error, by no more than what an error can save."""
    phi, whole = raw_target(task, t), exact_price(task, t)
    assert price(phi, 0.0) == pytest.approx(float(whole), rel=1e-12)
    assert 0 < price(phi, 1e-3) < whole
