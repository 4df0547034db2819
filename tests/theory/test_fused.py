"""The persistent kernel against the compiled loop, the batch and float64 autograd, in Triton's interpreter; on a GPU at a paper's size."""

import math

import numpy as np
import pytest
import torch

from src.theory.config import OPTIMIZERS, TheoryConfig
from src.theory.fit import FIT
from src.theory.state import FitState
from src.theory.targets import target
from tests.theory.starts import start

pytest.importorskip("triton", reason="Triton has no build for this platform")

CPU = torch.device("cpu")
STEPS = 8  # RAdam has no denominator for the first five


@pytest.fixture(autouse=True)
def _poisoned():
    """Fills what `torch.empty` returns with NaN."""
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)


def every_kind(complex_option, rate=1e-2, **changes):
    """Every optimizer with gradients added up and not, each run with its own target, start and rate: six configs."""
    shape = dict(complex_option=complex_option, N=5, L=7, num_epochs=60, r_min=0.5, BC_std=0.3, dtype="float64")
    kinds = [(opt, zero) for opt in OPTIMIZERS for zero in (True, False)]
    tasks = ("random", "delay", "oscillation")
    return [
        TheoryConfig(**{**shape, **changes}, opt=opt, zero_grad=zero, lr=rate / (1 + i), seed=i, task_name=tasks[i % 3])
        for i, (opt, zero) in enumerate(kinds)
    ]


def fit(engine, configs, device=CPU):
    return FIT.forms[engine](configs, [FitState.start(c) for c in configs], device)


def assert_states_agree(left, right, rtol, atol):
    for a, b in zip(left.states, right.states, strict=True):
        for name in ("theta", "m", "v", "total", "best_theta", "best_loss"):
            np.testing.assert_allclose(getattr(a, name), getattr(b, name), rtol, atol, err_msg=name)
        assert (a.step, a.best_step) == (b.step, b.best_step)


@pytest.mark.parametrize("complex_option", [False, True])
def test_training_equals_the_compiled_loop_and_the_batch(complex_option):
    configs = every_kind(complex_option)
    fused, *others = (fit(engine, configs) for engine in ("triton", "compiled", "reference"))
    losses = [fused.advance(STEPS - 1), fused.advance(1)][1]
    for other in others:
        np.testing.assert_allclose(losses, [other.advance(STEPS - 1), other.advance(1)][1], rtol=1e-10)
        assert_states_agree(fused, other, 1e-9, 1e-12)


@pytest.mark.parametrize("complex_option", [False, True])
@pytest.mark.parametrize("zero_grad", [True, False])
def test_chunks_leave_no_trace(complex_option, zero_grad):
    config = every_kind(complex_option, dtype="float32")[0 if zero_grad else 1]
    whole, parts = fit("triton", [config]), fit("triton", [config])
    whole.advance(6)
    for count in (1, 3, 2):
        parts.advance(count)
        parts = FIT.forms["triton"]([config], [FitState.from_plain(parts.states[0].to_plain())], CPU)
    for name, value in vars(whole.states[0]).items():
        np.testing.assert_array_equal(getattr(parts.states[0], name), value, err_msg=name)


def autograd(theta, signs, phi):
    """Gradient (P, N) of the loss in float64, from the definition of the response."""
    theta, signs = torch.from_numpy(theta.astype(np.float64)).requires_grad_(), torch.from_numpy(signs)
    t, rate = torch.arange(len(phi))[:, None], theta[0].exp()
    if len(signs):
        K = ((-rate * t).exp() * signs**t) @ (theta[1] * theta[2])
    else:
        w = torch.complex(theta[2], theta[3]) * torch.complex(theta[4], theta[5])
        K = 2 * (torch.polar((-rate * t).exp(), theta[1] * t) @ w).real
    (K - torch.from_numpy(phi)).square().sum().backward()
    return theta.grad.numpy()


@pytest.mark.parametrize("complex_option", [False, True])
@pytest.mark.parametrize(("N", "L"), [(1, 1), (3, 1), (5, 2), (17, 3), (33, 63), (64, 64), (9, 300)])
@pytest.mark.parametrize("radius", ["near one", "tiny", "mixed"])
def test_float32_gradients_are_within_1e4_of_float64(complex_option, N, L, radius):
    """As for the compiled loop: the first accumulated gradient is the gradient."""
    config = TheoryConfig(N=N, L=L, complex_option=complex_option, task_name="random", num_epochs=9, zero_grad=False)
    state = FitState.start(config)
    theta, signs = start(N, complex_option, radius, seed=N * L)
    state.theta[:], state.signs[:] = theta, signs
    expected = autograd(state.theta, signs, target("random", L, config.seed))
    engine = FIT.forms["triton"]([config], [state], CPU)
    engine.advance(1)
    for row, reference in zip(engine.states[0].total, expected, strict=True):
        assert np.abs(row - reference).max() <= 1e-4 * np.abs(reference).max() + 1e-12


@pytest.mark.filterwarnings("ignore:.*encountered:RuntimeWarning")
@pytest.mark.parametrize("complex_option", [False, True])
def test_a_run_that_diverges_stays_as_it_was_and_alone(complex_option):
    healthy = every_kind(complex_option)[0]
    wild = TheoryConfig(**{**healthy.plain(), "lr": 1e200})
    batch, alone, loop = fit("triton", [wild, healthy]), fit("triton", [healthy]), fit("compiled", [wild])
    losses = batch.advance(3)
    assert not math.isfinite(losses[0])
    assert not math.isfinite(loop.advance(3)[0])
    assert losses[1] == alone.advance(3)[0]
    np.testing.assert_array_equal(batch.states[1].theta, alone.states[0].theta)
    first = batch.states[0].theta
    batch.advance(1)
    np.testing.assert_array_equal(batch.states[0].theta, first)


@pytest.mark.filterwarnings("ignore:.*encountered:RuntimeWarning")
@pytest.mark.parametrize("row", range(6))
def test_a_parameter_that_is_no_number_gives_no_finite_loss(row):
    config = every_kind(True)[0]
    state = FitState.start(config)
    state.theta[row, 2] = math.nan
    assert not math.isfinite(FIT.forms["triton"]([config], [state], CPU).advance(1)[0])


@pytest.mark.gpu
def test_the_probe_passes_on_this_card():
    assert FIT.error("triton", torch.device("cuda", 0)) <= 1e-4


@pytest.mark.gpu
@pytest.mark.parametrize(("complex_option", "N", "L"), [(False, 1024, 32), (True, 256, 256), (True, 64, 64)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_papers_size_on_this_card(complex_option, N, L, dtype):
    if dtype == "float64" and N == 1024:
        pytest.skip("float64: 512 real states fit")
    configs = every_kind(complex_option, N=N, L=L, dtype=dtype, rate=1e-4, num_epochs=200)
    fused, loop = fit("triton", configs, torch.device("cuda", 0)), fit("compiled", configs)
    rtol = 1e-8 if dtype == "float64" else 1e-3
    np.testing.assert_allclose(fused.advance(100), loop.advance(100), rtol=rtol)
