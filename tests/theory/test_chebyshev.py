"""Chebyshev's polynomials exact, the change of basis, and suprema that are not too small."""

from fractions import Fraction

import numpy as np
import pytest
from numpy.polynomial import chebyshev as numpy_chebyshev

from src.theory import chebyshev


@pytest.mark.parametrize("j", [0, 1, 2, 3, 8, 31])
def test_coefficients_and_values_are_those_of_cos_j_theta(j):
    expected = numpy_chebyshev.cheb2poly(np.eye(j + 1)[j])
    assert list(chebyshev.coefficients(j)) == pytest.approx(expected.tolist(), abs=1e-9)
    x = Fraction(3, 7)
    assert chebyshev.value(j, x) == sum(c * x**k for k, c in enumerate(chebyshev.coefficients(j)))


@pytest.mark.parametrize("t", [1, 2, 3, 17, 32])
def test_from_powers_inverts_the_coefficients(t):
    table = np.array([[float(c) for c in (*chebyshev.coefficients(j), *[0] * (t - 1 - j))] for j in range(t)])
    np.testing.assert_allclose(table.T @ chebyshev.from_powers(t), np.eye(t), atol=1e-7 * table.max() ** 0.5)
    assert (chebyshev.from_powers(t) >= 0).all()
    np.testing.assert_allclose(chebyshev.from_powers(t).sum(axis=0), 1.0, rtol=1e-14)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("degree", [1, 2, 7, 31, 255])
def test_supremum_is_above_every_value_and_close(degree, seed):
    c = np.random.default_rng(seed).normal(size=degree + 1)
    values = np.abs(numpy_chebyshev.chebval(np.cos(np.linspace(0, np.pi, 200_001)), c))
    for oversampling in (4, 64, 1024):
        sup = chebyshev.supremum(c, oversampling)
        assert values.max() <= sup <= values.max() / np.cos(np.pi / (2 * oversampling)) * (1 + 1e-6)


def test_supremum_counts_the_error_of_its_coefficients():
    assert chebyshev.supremum(np.array([0.0, 1.0]), error=0.5) >= 1.5


@pytest.mark.parametrize("degree", [1, 2, 9, 60])
def test_maxima_are_where_the_derivative_vanishes_or_at_the_ends(degree):
    c = np.random.default_rng(degree).normal(size=degree + 1)
    theta, p = chebyshev.maxima(c)
    _, slope, _ = chebyshev.derivatives(c, theta)
    inner = (theta > 1e-9) & (theta < np.pi - 1e-9)
    assert np.abs(slope[inner]).max(initial=0) < 1e-8 * degree**2
    assert np.abs(p).max() == pytest.approx(chebyshev.supremum(c, 4096), rel=1e-6)


def test_integers_are_exact_and_refuse_what_is_not_finite():
    values, unit = chebyshev.integers(np.array([0.1, -3.0, 2.0**-60]))
    assert [Fraction(v, unit) for v in values] == [Fraction(0.1), -3, Fraction(1, 2**60)]
    with pytest.raises(ValueError, match="finite"):
        chebyshev.integers(np.array([1.0, np.nan]))
