"""The compiled loop and the batch against torch autograd with torch.optim, step by step, and against the definition in float64.

The fused kernel has its own file, test_fused.py, and borrows from this one.
"""

import math

import numpy as np
import pytest
import torch

from src.theory.batched import TABLE, BatchedFit
from src.theory.config import TheoryConfig
from src.theory.fit import FIT, CompiledFit, make_fit
from src.theory.polar import impulse_response, initial, magnitudes
from src.theory.state import FitState
from src.theory.targets import target
from tests.theory.starts import start

CPU = torch.device("cpu")
OPTIMIZERS = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW, "radam": torch.optim.RAdam}


def torch_response(theta, signs, L):
    """The recurrence h = A h + B x with an impulse, step by step, as a user would write it first."""
    r = torch.exp(-torch.exp(theta[0]))
    if len(signs):
        A, B, C = r * signs, theta[1], theta[2]
    else:
        A, B, C = torch.polar(r, theta[1]), torch.complex(theta[2], theta[3]), torch.complex(theta[4], theta[5])
    h, K = B, []
    for _ in range(L):
        K.append((C * h).sum())
        h = A * h
    K = torch.stack(K)
    return K if len(signs) else 2 * K.real


def torch_training(config, steps):
    """Losses (steps,) and final parameters (P, N) of the plain torch form in float64."""
    theta, signs = initial(
        config.N, config.complex_option, config.seed, config.r_min, config.BC_std, config.radius_density
    )
    theta, signs = torch.from_numpy(theta).requires_grad_(), torch.from_numpy(signs)
    phi = torch.from_numpy(target(config.task_name, config.L, config.seed))
    optimizer = OPTIMIZERS[config.opt]([theta], lr=config.lr)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=config.num_epochs)
    losses = []
    for _ in range(steps):
        if config.zero_grad:
            optimizer.zero_grad()
        loss = (torch_response(theta, signs, config.L) - phi).square().sum()
        loss.backward()
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
    return np.array(losses), theta.detach().numpy()


def make(complex_option, N=7, L=11, **changes):
    defaults = dict(task_name="random", num_epochs=60, lr=1e-2, r_min=0.5, BC_std=0.3, dtype="float64", seed=3)
    return TheoryConfig(N=N, complex_option=complex_option, L=L, **{**defaults, **changes})


def advance(fit, steps):
    return np.array([fit.advance(1) for _ in range(steps)])


@pytest.mark.parametrize("complex_option", [False, True])
@pytest.mark.parametrize("opt", list(OPTIMIZERS))
@pytest.mark.parametrize("zero_grad", [True, False])
@pytest.mark.parametrize("engine", ["compiled", "torch"])
def test_training_equals_torch_step_by_step(complex_option, opt, zero_grad, engine):
    config = make(complex_option, opt=opt, zero_grad=zero_grad)
    losses, theta = torch_training(config, 60)
    state = FitState.start(config)
    fit = FIT.forms[engine]([config], [state], CPU)
    np.testing.assert_allclose(advance(fit, 60)[:, 0], losses, rtol=1e-9)
    np.testing.assert_allclose(fit.states[0].theta, theta, rtol=1e-8, atol=1e-10)
    assert fit.states[0].best_loss == pytest.approx(losses.min(), rel=1e-9)
    assert fit.states[0].best_step == losses.argmin()


def torch_gradient(theta, signs, phi):
    theta = torch.from_numpy(theta).requires_grad_()
    loss = (torch_response(theta, torch.from_numpy(signs), len(phi)) - torch.from_numpy(phi)).square().sum()
    loss.backward()
    return theta.grad.numpy()


def compiled_gradient(config, theta, signs):
    """The first accumulated gradient is the gradient: one step with zero_grad off leaves it in `total`."""
    state = FitState.start(config)
    state.theta[:], state.signs[:] = theta, signs
    CompiledFit([config], [state]).advance(1)
    return state.total


@pytest.mark.parametrize("complex_option", [False, True])
@pytest.mark.parametrize(
    ("N", "L"), [(1, 1), (3, 1), (5, 2), (17, 3), (33, 63), (64, 64), (65, 97), (256, 256), (40, 1000), (16, 4096)]
)
@pytest.mark.parametrize("radius", ["near one", "tiny", "mixed"])
def test_float32_gradients_are_within_1e4_of_float64(complex_option, N, L, radius):
    config = make(complex_option, N, L, dtype="float32", zero_grad=False)
    theta, signs = start(N, complex_option, radius, seed=N * L)
    theta = theta.astype(np.float32)
    phi = target("random", L, config.seed)
    expected = torch_gradient(theta.astype(np.float64), signs, phi)
    measured = compiled_gradient(config, theta, signs)
    for row, reference in zip(measured, expected, strict=True):
        assert np.abs(row - reference).max() <= 1e-4 * np.abs(reference).max() + 1e-12


@pytest.mark.parametrize("complex_option", [False, True])
def test_response_follows_the_definition(complex_option):
    theta, signs = initial(9, complex_option, 1, 0.2, 0.5)
    np.testing.assert_allclose(
        impulse_response(theta, signs, 40),
        torch_response(torch.from_numpy(theta), torch.from_numpy(signs), 40),
        atol=1e-12,
    )


@pytest.mark.parametrize("complex_option", [False, True])
@pytest.mark.parametrize("engine", ["compiled", "torch"])
def test_chunks_leave_no_trace(complex_option, engine):
    config = make(complex_option, dtype="float32", num_epochs=100)
    whole, parts = (FIT.forms[engine]([config], [FitState.start(config)], CPU) for _ in range(2))
    whole.advance(100)
    for count in (1, 30, 69):
        parts.advance(count)
        parts = FIT.forms[engine]([config], [FitState.from_plain(parts.states[0].to_plain())], CPU)
    for name, value in vars(whole.states[0]).items():
        np.testing.assert_array_equal(getattr(parts.states[0], name), value, err_msg=name)


def test_a_batch_equals_its_runs_alone():
    configs = [
        make(True, opt=opt, lr=lr, zero_grad=zero, seed=seed, task_name=task)
        for opt, lr, zero, seed, task in [
            ("adam", 1e-2, True, 0, "random"),
            ("adamw", 1e-3, False, 1, "delay"),
            ("radam", 3e-3, True, 2, "oscillation"),
        ]
    ]
    batch = BatchedFit(configs, [FitState.start(c) for c in configs], CPU)
    together = CompiledFit(configs, [FitState.start(c) for c in configs])
    batch.advance(50)
    together.advance(50)
    for config, state, compiled in zip(configs, batch.states, together.states, strict=True):
        alone = CompiledFit([config], [FitState.start(config)])
        alone.advance(50)
        np.testing.assert_array_equal(compiled.theta, alone.states[0].theta)
        np.testing.assert_allclose(state.theta, compiled.theta, rtol=1e-8, atol=1e-10)
        assert state.best_step == compiled.best_step


def test_a_long_advance_outlives_the_table_of_step_sizes():
    config = make(False, N=2, L=3, num_epochs=2 * TABLE)
    batch, alone = (FIT.forms[engine]([config], [FitState.start(config)], CPU) for engine in ("torch", "compiled"))
    np.testing.assert_allclose(batch.advance(TABLE + 30), alone.advance(TABLE + 30), rtol=1e-6)
    np.testing.assert_allclose(batch.states[0].theta, alone.states[0].theta, rtol=1e-6)


def test_a_batch_of_two_shapes_is_refused():
    configs = [make(True), make(True, N=8)]
    with pytest.raises(ValueError, match="one shape"):
        BatchedFit(configs, [FitState.start(c) for c in configs], CPU)


def test_divergence_is_seen_and_stays_alone():
    configs = [make(True, lr=1e30), make(True)]
    batch = BatchedFit(configs, [FitState.start(c) for c in configs], CPU)
    diverged, healthy = batch.advance(60)
    assert not math.isfinite(diverged)
    assert math.isfinite(healthy)
    assert not math.isfinite(CompiledFit(configs[:1], [FitState.start(configs[0])]).advance(60)[0])


@pytest.mark.parametrize("backend", ["reference", "torch", "compiled", "triton"])
def test_the_environment_chooses_the_engine_and_the_name_says_it(backend, monkeypatch):
    monkeypatch.setenv("SSM_BACKEND", backend)
    config = make(True)
    fit, name = make_fit([config], [FitState.start(config)], "cpu")
    assert name.startswith(f"{backend} on cpu")
    expected = {"compiled": "CompiledFit", "triton": "FusedFit"}
    assert type(fit).__name__ == expected.get(backend, "BatchedFit")


def test_a_shape_too_large_for_the_fused_kernel_is_a_batch(monkeypatch):
    monkeypatch.setenv("SSM_BACKEND", "triton")
    config = make(True, N=257)
    fit, name = make_fit([config], [FitState.start(config)], "cpu")
    assert isinstance(fit, BatchedFit)
    assert "N = 257 is too large" in name


def test_initial_values_depend_on_the_seed_alone():
    first = initial(64, False, 5, 0.0, 1e-3)
    np.random.default_rng(0).normal(size=10)
    torch.manual_seed(1)
    for a, b in zip(first, initial(64, False, 5, 0.0, 1e-3), strict=True):
        np.testing.assert_array_equal(a, b)
    assert not np.array_equal(first[0], initial(64, False, 6, 0.0, 1e-3)[0])


@pytest.mark.parametrize(("density", "mean"), [("uniform", 0.99 + 0.0099 / 2), ("area", 0.994991)])
def test_initial_radii_and_scales(density, mean):
    theta, _ = initial(40000, True, 0, 0.99, 1e-3, density)
    radius = np.exp(-np.exp(theta[0]))
    assert radius.min() >= 0.99
    assert radius.max() <= 0.9999
    assert radius.mean() == pytest.approx(mean, abs=1e-4)
    assert np.hypot(theta[2], theta[3]).mean() == pytest.approx(1e-3 * math.sqrt(2 / math.pi), rel=0.02)
    uniform, area = (np.exp(-np.exp(initial(40000, False, 0, 0.0, 1e-3, d)[0][0])).mean() for d in ("uniform", "area"))
    assert uniform == pytest.approx(0.5, abs=0.01)
    assert area == pytest.approx(2 / 3, abs=0.01)


def test_magnitudes_are_those_of_the_system():
    theta = np.array([[0.0, 0.0], [0.0, 1.0], [3.0, 0.0], [4.0, 1.0], [0.0, 2.0], [2.0, 0.0]])
    size = magnitudes(theta, np.empty(0))
    assert (size.max_B, size.max_C, size.max_CB, size.n_max_CB) == (5.0, 2.0, 10.0, 20.0)
