"""Normal plus low rank: the factors give back A and B, V is unitary, pairs are exact conjugates."""

import numpy as np
import pytest

from src.errors import UserError
from src.linalg.diag_init import s4d_inv, s4d_legs, s4d_lin, s4d_random, s4d_real
from src.linalg.hippo import MEASURES, hippo
from src.linalg.nplr import RANKS, conjugate_halves, low_rank, normal_part, nplr

CASES = [(m, n) for m in MEASURES for n in (1, 2, 3, 8, 17, 64, 128) if m != "fourier" or n % 2 == 0]


@pytest.mark.parametrize(("measure", "n"), CASES)
def test_factors_give_back_the_hippo_matrix(measure, n):
    A, B = hippo(measure, n)
    f = nplr(measure, n)
    V, Vh = f.V, f.V.conj().T
    np.testing.assert_allclose(Vh @ V, np.eye(n), atol=1e-14 * max(n, 10))
    rebuilt = V @ (np.diag(f.Lambda) - f.P @ f.P.conj().T) @ Vh
    assert np.abs(rebuilt - A).max() <= 1e-14 * max(n, 10) * np.abs(A).max()
    np.testing.assert_allclose(V @ f.B, B, atol=1e-14 * n * np.sqrt(2 * n))


@pytest.mark.parametrize(("measure", "n"), CASES)
def test_order_phases_and_real_parts_are_fixed(measure, n):
    f = nplr(measure, n)
    assert np.all(f.Lambda.real == {"legs": -0.5, "legt": 0.0, "fourier": 0.0}[measure])
    assert np.all(np.diff(f.Lambda.imag) >= 0)
    assert np.array_equal(f.Lambda[::-1], f.Lambda.conj())
    np.testing.assert_allclose(f.V[:, ::-1], f.V.conj(), atol=1e-14)
    assert np.abs(f.B.imag).max() < 1e-12
    assert f.B.real.min() > 0.3


@pytest.mark.parametrize(("measure", "n"), CASES)
def test_normal_part_is_normal_and_has_the_least_rank_correction(measure, n):
    A, _ = hippo(measure, n)
    N = normal_part(n, measure)
    scale = np.abs(N).max() + 1
    np.testing.assert_allclose(N @ N.T, N.T @ N, rtol=0, atol=1e-14 * n * scale**2)
    np.testing.assert_allclose(N - A, low_rank(measure, n) @ low_rank(measure, n).T, rtol=0, atol=1e-14 * scale)
    assert np.linalg.matrix_rank(N - A) == min(n, RANKS[measure])


@pytest.mark.parametrize("n", [1, 4, 16, 64])
def test_legs_normal_part_is_that_of_the_papers(n):
    N = normal_part(n)
    assert np.all(np.diag(N) == -0.5)
    i, j = np.tril_indices(n, -1)
    np.testing.assert_allclose(N[i, j], -np.sqrt((i + 0.5) * (j + 0.5)), rtol=1e-14)
    assert np.array_equal(N[j, i], -N[i, j])


@pytest.mark.parametrize("measure", MEASURES)
def test_one_half_of_the_pairs_gives_twice_the_real_part(measure):
    n = 16
    full, half = nplr(measure, n), conjugate_halves(nplr(measure, n))
    assert half.Lambda.shape == (n // 2,)
    assert half.V.shape == (n, n // 2)
    assert np.all(half.Lambda.imag >= 0)
    N = 2 * ((half.V * half.Lambda) @ half.V.conj().T).real
    np.testing.assert_allclose(N, normal_part(n, measure), atol=1e-12 * np.abs(full.Lambda).max())
    np.testing.assert_allclose(2 * (half.V @ half.B).real, hippo(measure, n)[1], atol=1e-13)


def test_more_rank_than_needed_is_zero_and_less_is_refused():
    f = nplr("legs", 8, rank=3)
    assert f.P.shape == (8, 3)
    assert not f.P[:, 1:].any()
    with pytest.raises(UserError, match="needs rank 2"):
        nplr("legt", 8, rank=1)
    with pytest.raises(UserError, match="even number"):
        conjugate_halves(nplr("legs", 7))


def test_diagonal_starts_are_the_published_spectra():
    assert np.array_equal(s4d_real(3), [-1, -2, -3])
    assert np.array_equal(s4d_lin(3), -0.5 + 1j * np.pi * np.arange(3))
    np.testing.assert_allclose(
        s4d_inv(2), [-0.5 + 12j / np.pi, -0.5 + 4j / 3 / np.pi]
    )  # n = 4: 4/pi (4-1), 4/pi (4/3-1)
    np.testing.assert_allclose(s4d_legs(4), conjugate_halves(nplr("legs", 8)).Lambda)
    draw = s4d_random(5, np.random.default_rng(0))
    assert np.all(draw.real == -0.5)
    assert np.all(draw.imag > 0)
    assert np.array_equal(draw, s4d_random(5, np.random.default_rng(0)))


def test_s4d_inv_follows_the_spectrum_of_s4d_legs():
    # both have the extreme eigenvalue n^2 / pi, up to O(n)
    n_pairs = 128
    assert s4d_inv(n_pairs).imag.max() == pytest.approx(s4d_legs(n_pairs).imag.max(), rel=0.01)
