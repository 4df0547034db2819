"""HiPPO-LegS in closed form against solves: Lemma 1 and the spikes of P1 = arXiv 2310.01698 with their numbers."""

import numpy as np
import pytest

from src.errors import UserError
from src.linalg import legs_transfer
from src.linalg.nplr import nplr
from src.linalg.transfer import diag_system, dplr_system
from tests.linalg.systems import solve


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.mark.parametrize("n", [1, 2, 7, 16, 40])
def test_resolvent_and_lemma_1_hold_for_random_outputs_and_frequencies(n):
    rng = np.random.default_rng(n)
    C = rng.standard_normal(n) + 1j * rng.standard_normal(n)
    s = np.concatenate([1j * rng.uniform(-2 * n**2, 2 * n**2, 20), rng.uniform(0, 5, 20) + 1j * rng.normal(0, n, 20)])
    G_dplr = legs_transfer.g_dplr(n, s, C)
    scale = np.abs(G_dplr).max()
    np.testing.assert_allclose(G_dplr, solve(dplr_system(n, C), s), rtol=0, atol=1e-12 * scale)
    expected = solve(diag_system(n, C), s)
    got = legs_transfer.g_diag_from_dplr(n, s, G_dplr)
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-12 * np.abs(expected).max())
    gap = -G_dplr * (r := legs_transfer.rho(n, s)) / (1 + r)
    np.testing.assert_allclose(expected - G_dplr, gap, rtol=0, atol=1e-11 * np.abs(expected).max())


@pytest.mark.parametrize("n", [1, 16, 1000])
def test_rho_on_the_imaginary_axis_has_the_modulus_of_the_closed_form(n):
    w = np.concatenate([[0.0], np.geomspace(1e-3, 1e8, 60), -np.geomspace(1e-3, 1e8, 60)])
    r = legs_transfer.rho(n, 1j * w)
    np.testing.assert_allclose(np.abs(r), np.abs(w) / np.sqrt(w**2 + n**2), rtol=1e-15 * (n + 10))
    np.testing.assert_allclose(legs_transfer.one_plus_rho(n, 1j * w), 1 + r, rtol=0, atol=1e-15 * (n + 10))


@pytest.mark.parametrize("n", [2, 3, 16, 17, 128])
def test_pole_frequencies_are_the_eigenvalues_of_the_normal_part(n):
    omega = nplr("legs", n).Lambda.imag[::-1][: n // 2]
    np.testing.assert_allclose(legs_transfer.pole_frequencies(n), omega, rtol=0, atol=1e-15 * n**2 + 1e-14)
    np.testing.assert_array_equal(legs_transfer.pole_frequencies(n, 1), legs_transfer.pole_frequencies(n)[:1])


@pytest.mark.parametrize(
    ("n", "published"),
    [(16, [80.97, 25.63, 13.83]), (32, [325.43, 107.09, 62.61]), (64, [1303.27]), (128, [5214.67])],
)
def test_spikes_are_where_the_paper_has_them(n, published):
    top = len(published)
    np.testing.assert_allclose(legs_transfer.pole_frequencies(n, top), published, rtol=0, atol=0.005)
    found = legs_transfer.spikes(n)
    np.testing.assert_allclose(found.frequency[:top], published, rtol=1e-3)
    assert np.all(np.diff(found.frequency) < 0)
    np.testing.assert_allclose(legs_transfer.spikes(n, count=top).height, found.height[:top], rtol=1e-12)


def test_last_spike_grows_like_n_squared_over_pi():
    assert legs_transfer.last_spike(32) == pytest.approx(325.4263, abs=5e-5)
    assert legs_transfer.last_spike(1000) == pytest.approx(318309.4, abs=0.05)
    for n in (1000, 10_000):
        assert n**2 / np.pi - legs_transfer.last_spike(n) == pytest.approx(np.pi / 6, abs=1e-5)
    with pytest.raises(UserError):
        legs_transfer.last_spike(0)
    with pytest.raises(ValueError, match="no spike"):
        legs_transfer.last_spike(1)


@pytest.mark.parametrize("n", [16, 64, 1000])
def test_spikes_do_not_shrink_while_the_transfer_function_of_s4_vanishes_there(n):
    w, height = (x[0] for x in legs_transfer.spikes(n, count=1))
    assert height == pytest.approx(2 / np.pi, rel=6 / n**2 + 1e-8)
    assert abs(legs_transfer.g_dplr(n, 1j * w)) == pytest.approx(np.pi / n**2, rel=1 / n)


def test_spikes_are_local_maxima_of_the_dense_transfer_function_for_any_output(rng):
    n = 24
    C = rng.standard_normal(n)
    found = legs_transfer.spikes(n, C)
    gain = lambda w: np.abs(solve(diag_system(n, C), 1j * w))
    np.testing.assert_allclose(found.height, gain(found.frequency), rtol=1e-9)
    assert np.all(found.height > gain(found.frequency - 0.01))
    assert np.all(found.height > gain(found.frequency + 0.01))
    assert len(found.height) > 3
