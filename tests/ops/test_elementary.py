"""The elementary functions of compiled loops where a recurrence depends on them: errors far below a bit when they have one sign."""

import numba
import numpy as np
import pytest

from src.ops.elementary import exp2, exp_i, exp_unit, log1p_unit

TYPES = [(np.float32, 2.0**-24), (np.float64, 2.0**-53)]  # with half a unit in the last place of numbers just above 1


@numba.njit
def powers_of_two(y, out):
    for i in range(y.size):
        out[i] = exp2(y[i])


@numba.njit
def angles(y, cos, sin):
    for i in range(y.size):
        cos[i], sin[i] = exp_i(y[i])


@numba.njit
def exponentials(x, out):
    for i in range(x.size):
        out[i] = exp_unit(x[i])


@numba.njit
def logarithms(e, out):
    for i in range(e.size):
        out[i] = log1p_unit(e[i])


@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float32, 3e-7), (np.float64, 4e-15)])
def test_exp2(dtype, tolerance):
    y = np.random.default_rng(0).uniform(-100, 100, 5000).astype(dtype)
    out = np.empty_like(y)
    powers_of_two(y, out)
    assert abs(out / np.exp2(y.astype(np.longdouble)) - 1).max() < tolerance


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_exp2_at_its_ends(dtype):
    y = np.array([0, 1, -1, np.inf, -np.inf, 1e6, -1e6, np.nan], dtype)
    out = np.empty_like(y)
    powers_of_two(y, out)
    np.testing.assert_array_equal(out, np.array([1, 2, 0.5, np.inf, 0, np.inf, 0, np.nan], dtype))


@pytest.mark.parametrize(("dtype", "unit"), TYPES)
@pytest.mark.parametrize("reach", [0.1, 1.5, 100.0, 10_000.0])
def test_exp_i(dtype, unit, reach):
    y = np.random.default_rng(0).uniform(-reach, reach, 200_000).astype(dtype)
    cos, sin = np.empty((2, y.size), dtype)
    angles(y, cos, sin)
    exact = y.astype(np.longdouble)
    error = np.hypot(cos - np.cos(exact), sin - np.sin(exact))
    assert error.max() < 4 * unit
    turned = (sin * np.cos(exact) - cos * np.sin(exact)) * np.sign(y)
    assert abs(turned.mean()) < unit / 8
    assert abs((np.hypot(cos.astype(np.longdouble), sin) - 1).mean()) < unit / 8


@pytest.mark.parametrize(("dtype", "unit"), TYPES)
@pytest.mark.parametrize("reach", [0.1, 1.0, 80.0])
def test_exp_unit(dtype, unit, reach):
    x = np.random.default_rng(0).uniform(-reach, 0, 200_000).astype(dtype)
    out = np.empty_like(x)
    exponentials(x, out)
    error = out / np.exp(x.astype(np.longdouble)) - 1
    assert abs(error).max() < 4 * unit
    assert abs(error.mean()) < unit / 8


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_exp_unit_at_its_ends(dtype):
    x = np.array([0, -np.inf, -1e6, -750, np.nan], dtype)
    out = np.empty_like(x)
    exponentials(x, out)
    np.testing.assert_array_equal(out, np.array([1, 0, 0, 0, np.nan], dtype))
    tiny = np.finfo(dtype).tiny
    x = np.log(tiny) + np.linspace(-1, 1, 1001).astype(dtype)
    out = np.empty_like(x)
    exponentials(x, out)
    assert ((out == 0) | (abs(out / np.exp(x.astype(np.longdouble)) - 1) < 1e-5)).all()
    assert (out[x > np.log(tiny) + 0.01] > 0).all()


@pytest.mark.parametrize(("dtype", "unit"), TYPES)
def test_log1p_unit(dtype, unit):
    e = (10 ** np.random.default_rng(0).uniform(-15, 0, 200_000)).astype(dtype)
    e[0], e[1] = 0, 1
    out = np.empty_like(e)
    logarithms(e, out)
    assert out[0] == 0
    error = out[1:] / np.log1p(e[1:].astype(np.longdouble)) - 1
    assert abs(error).max() < 4 * unit
    assert abs(error.mean()) < unit / 8
