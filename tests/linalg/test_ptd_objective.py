"""PTD's objectives: values at known points, gradients against central differences, smooth norms against true ones."""

import numpy as np
import pytest

from src.linalg.hippo import legs
from src.linalg.ptd import random_perturbation, rank1
from src.linalg.ptd.objective import (
    Eigensystem,
    cond_plus_frobenius,
    eigenvector_cond,
    log_schatten,
    log_smooth_cond,
)
from src.linalg.ptd.response import Response
from src.linalg.ptd.smooth import Coordinates, Merit, Smooth


def _directional(f, X, direction, h):
    return (f(X + h * direction) - f(X - h * direction)) / (2 * h)


def _random(shape, real, seed):
    generator = np.random.default_rng(seed)
    X = generator.standard_normal(shape)
    return X if real else X + 1j * generator.standard_normal(shape)


def _assert_gradient(f, X, gradient, h, rtol):
    """`gradient` predicts f's change along random directions, of the same field as X."""
    for seed in range(4):
        direction = _random(X.shape, not np.iscomplexobj(X), seed)
        expected = np.sum(gradient.conj() * direction).real
        assert _directional(f, X, direction, h) == pytest.approx(
            expected, rel=rtol, abs=rtol * np.linalg.norm(gradient)
        )


@pytest.mark.parametrize("real", [True, False])
@pytest.mark.parametrize("half", [1, 2, 4, 32, 128])
def test_schatten_norm_is_that_of_the_singular_values(half, real):
    X = 1e3 * _random((9, 9), real, seed=1)
    s = np.linalg.svd(X, compute_uv=False)
    expected = np.log(s[0]) + np.log(np.sum((s / s[0]) ** (2 * half))) / (2 * half)
    value, gradient = log_schatten(X, half)
    assert value == pytest.approx(expected, abs=1e-12)
    _assert_gradient(lambda Y: log_schatten(Y, half).value, X, gradient, h=1e-3, rtol=1e-6)


@pytest.mark.parametrize("real", [True, False])
@pytest.mark.parametrize("n", [2, 5, 8])
def test_gradient_of_the_condition_number(n, real):
    A = legs(n)[0]
    M = A + random_perturbation(n, 0.2, seed=3, real=real).E
    value, gradient = eigenvector_cond(M)
    assert value == pytest.approx(np.linalg.cond(np.linalg.eig(M)[1]), rel=1e-12)
    assert np.iscomplexobj(gradient) is not real
    _assert_gradient(lambda X: eigenvector_cond(X).value, M, gradient, h=1e-5, rtol=1e-5)


@pytest.mark.parametrize("real", [True, False])
def test_gradient_of_eigenvalues_and_smooth_condition_number(real):
    M = legs(7)[0] + random_perturbation(7, 0.2, seed=4, real=real).E
    weights = np.linspace(1.0, 2.0, 7)

    def f(X):
        system = Eigensystem.of(X)
        order = np.argsort(system.Lambda.imag, kind="stable")
        real_parts = np.sort(system.Lambda.real)
        return log_smooth_cond(system, 4).value + weights @ real_parts, order

    system = Eigensystem.of(M)
    g_Lambda = np.empty(7)
    g_Lambda[np.argsort(system.Lambda.real)] = weights
    # conjugates share a real part: their weights must be shared, too
    if real:
        parts = np.round(system.Lambda.real, 9)
        g_Lambda = np.array([g_Lambda[parts == part].mean() for part in parts])
    gradient = system.pull_back(log_smooth_cond(system, 4).gradient, g_Lambda)
    _assert_gradient(lambda X: f(X)[0], M, gradient, h=1e-5, rtol=1e-5)


def test_smooth_condition_number_bounds_the_true_one():
    found = random_perturbation(16, 0.05, seed=0)
    system = Eigensystem.of(legs(16)[0] + found.E)
    for half in (8, 32, 128):
        excess = log_smooth_cond(system, half).value - np.log(found.cond)
        assert 0 <= excess <= np.log(16) / half


@pytest.mark.parametrize("real", [True, False])
@pytest.mark.parametrize("gamma", [None, 0.3])
@pytest.mark.parametrize("near", [False, True])
def test_gradient_of_the_solvers_objective(near, gamma, real):
    """Size and gamma problems, with the stability penalty active (margin 20) and the constraint violated."""
    A = legs(6)[0]
    E = random_perturbation(6, 0.2, seed=5, real=real).E
    merit = Merit(gamma, frobenius_weight=0.05, limit=np.log(0.5 * np.linalg.norm(E, 2)))
    response = None
    if near:
        E[0] = 0.0
        response = Response.around(np.linalg.eigvals(A + E), real)
    coordinates = Coordinates.of(E, keep_first_output=near)
    smooth = Smooth(A, coordinates, half=8, half_norm=4, border=-24.0, stability=10.0, unit=2.0, merit=merit,
                    real_eigenvalues=6, mu=0.7 * near, response=response)  # fmt: skip
    x = coordinates.x(E)
    np.testing.assert_allclose(coordinates.E(x), E, rtol=1e-14)
    value, gradient = smooth(x)
    assert np.isfinite(value)
    numeric = [_directional(lambda y: smooth(y)[0], x, unit, 1e-6) for unit in np.eye(len(x))]
    np.testing.assert_allclose(numeric, gradient, rtol=1e-5, atol=1e-6 * np.abs(gradient).max())


def test_gradient_of_the_published_objective():
    A = legs(6)[0]
    E = 0.1 * (np.random.default_rng(0).random((6, 6)) + 1j * np.random.default_rng(1).random((6, 6)))
    value, gradient = cond_plus_frobenius(E, A, delta=50.0)
    expected = np.linalg.cond(np.linalg.eig(A + E)[1]) ** 2 + 50.0 * np.sqrt(np.sum(np.abs(E) ** 2))
    assert value == pytest.approx(expected, rel=1e-10)
    _assert_gradient(lambda X: cond_plus_frobenius(X, A, 50.0).value, E, gradient, h=1e-6, rtol=1e-4)


@pytest.mark.parametrize("n", [1, 2, 7, 32])
def test_the_rank_one_perturbation_has_condition_number_one(n):
    found = rank1(n)
    P = np.sqrt(np.arange(n) + 0.5)
    np.testing.assert_array_equal(found.E, np.outer(P, P))
    assert found.cond == pytest.approx(1.0, abs=1e-12)
    np.testing.assert_allclose(found.Lambda.real, -0.5, atol=1e-12)
    assert found.size == pytest.approx(n**2 / 2 / np.linalg.norm(legs(n)[0], 2), rel=1e-12)
    rebuilt = (found.V * found.Lambda) @ found.Vinv
    np.testing.assert_allclose(rebuilt, legs(n)[0] + found.E, atol=1e-12 * n**2)
