"""The targets of P2's theory experiment: exact entries, unit norm, and a random one that depends on (seed, L) alone."""

import numpy as np
import pytest

from src.errors import UserError
from src.theory.targets import TASKS, canonical, raw_target, target

LENGTHS = [1, 2, 3, 4, 9, 32, 63, 256]


@pytest.mark.parametrize("L", LENGTHS)
@pytest.mark.parametrize("task", TASKS)
def test_unit_norm_and_proportional_to_raw(task, L):
    phi, raw = target(task, L, seed=3), raw_target(task, L, seed=3)
    assert phi.shape == raw.shape == (L,)
    assert phi.dtype == raw.dtype == np.float64
    assert np.linalg.norm(phi) == pytest.approx(1.0, abs=1e-15)
    np.testing.assert_allclose(phi * np.linalg.norm(raw), raw, rtol=0, atol=1e-15)


@pytest.mark.parametrize(("L", "index"), [(1, 0), (2, 0), (3, 1), (32, 15), (33, 16)])
def test_delay_is_an_impulse_at_half_the_length(L, index):
    assert raw_target("delay", L).nonzero()[0].tolist() == [index]
    assert target("delay", L)[index] == 1.0


@pytest.mark.parametrize("L", LENGTHS)
def test_oscillation_is_the_real_part_of_powers_of_i(L):
    expected = [(1, 0, -1, 0)[k % 4] for k in range(L)]
    assert raw_target("oscillation", L).tolist() == expected


def test_random_depends_on_seed_and_length_only():
    np.random.seed(0)  # noqa: NPY002  the global generator must play no part
    first = raw_target("random", 32, seed=5)
    np.random.seed(1)  # noqa: NPY002
    np.testing.assert_array_equal(first, raw_target("random", 32, seed=5))
    assert not np.allclose(first, raw_target("random", 32, seed=6))
    assert not np.allclose(first, raw_target("random", 33, seed=5)[:32])


def test_random_is_uniform_on_minus_one_to_one():
    entries = raw_target("random", 20_000, seed=1)
    assert -1 <= entries.min() < -0.999
    assert 0.999 < entries.max() <= 1
    counts = np.histogram(entries, bins=10, range=(-1, 1))[0]
    assert np.abs(counts - 2000).max() < 5 * np.sqrt(2000)


def test_copy_is_the_papers_name_of_delay():
    assert canonical("copy") == "delay"
    np.testing.assert_array_equal(target("copy", 32), target("delay", 32))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("oscilation", 32, 0), "did you mean 'oscillation'"),
        (("delay", 0, 0), "L = 0"),
        (("random", 32, -1), "seed = -1"),
    ],
)
def test_bad_values_are_the_users_mistakes(arguments, message):
    with pytest.raises(UserError, match=message):
        target(*arguments)
