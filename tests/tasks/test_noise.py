"""Noise at test time: the published formula computed by hand, hooks that leave no trace, corruptions by their definitions."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from src.tasks.corruptions import Blur, Brightness, Contrast, Impulse, Pixelate, as_image, as_sequence
from src.tasks.noise import FourierMode, Masking, White, injected


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_fourier_mode_is_the_published_formula():
    x = torch.randn(3, 50, 4, generator=generator(9))
    dt = torch.tensor([0.001, 0.01, 0.05, 0.1], dtype=torch.float64)
    omega = 325.4263
    y = FourierMode(omega, 0.1)(x, dt, generator(1))
    r = torch.rand(3, 1, 4, generator=generator(1))
    for b, k, h in [(0, 0, 0), (1, 7, 2), (2, 49, 3), (0, 31, 1)]:
        added = 0.1 * r[b, 0, h].item() * math.cos(omega * dt[h].item() * k)
        assert y[b, k, h].item() - x[b, k, h].item() == pytest.approx(added, abs=3e-7)


def test_draws_are_uniform_and_one_for_each_sample_and_channel():
    x = torch.zeros(200, 5, 40)
    y = FourierMode(3.0, 0.1)(x, torch.full((40,), 0.1), generator())
    r = y[:, 0] / 0.1  # cos 0 = 1
    assert 0 <= r.min() < 0.01
    assert 0.99 < r.max() <= 1
    assert r.mean().item() == pytest.approx(0.5, abs=4 / math.sqrt(12 * r.numel()))
    assert len(torch.unique(r)) > 0.99 * r.numel()
    k = torch.arange(5, dtype=torch.float64)
    torch.testing.assert_close(y, (0.1 * r[:, None] * torch.cos(0.3 * k)[None, :, None].float()), rtol=0, atol=1e-7)


def test_large_angles_keep_their_phase():
    """omega dt k reaches 1e6, where float32 would have lost the phase."""
    y = FourierMode(1e4, 1.0)(torch.zeros(1, 1001, 1), torch.tensor([0.1]).double(), generator())
    r = torch.rand(1, 1, 1, generator=generator()).item()
    dt = torch.tensor([0.1]).double().item()
    assert y[0, 1000, 0].item() == pytest.approx(r * math.cos(1e4 * dt * 1000), abs=1e-6)


class Two(nn.Module):
    """Two layers that take further arguments, as SSM layers do."""

    class Layer(nn.Module):
        def forward(self, x, state=None):
            return 2 * x

    def __init__(self):
        super().__init__()
        self.first, self.second = self.Layer(), self.Layer()

    def forward(self, x):
        return self.second(self.first(x, None), None)


def test_noise_enters_every_layer_with_its_own_draws_and_leaves_no_trace():
    model, x = Two(), torch.randn(2, 6, 3)
    dts = torch.tensor([0.1, 0.2, 0.3]), torch.tensor([0.4, 0.5, 0.6])
    places = [(model.first, dts[0]), (model.second, dts[1])]
    with injected(places, FourierMode(5.0, 0.1), seed=3):
        noisy = model(x)
    g = generator(3)
    first, second = torch.rand(2, 1, 3, generator=g), torch.rand(2, 1, 3, generator=g)
    k = torch.arange(6.0)[:, None]
    expected = 4 * (x + 0.1 * first * torch.cos(5 * dts[0] * k)) + 2 * 0.1 * second * torch.cos(5 * dts[1] * k)
    torch.testing.assert_close(noisy, expected, rtol=1e-5, atol=1e-6)
    assert not torch.equal(first, second)
    torch.testing.assert_close(model(x), 4 * x, rtol=0, atol=0)
    assert not model.first._forward_pre_hooks
    with injected(places, FourierMode(5.0, 0.1), seed=3):
        torch.testing.assert_close(model(x), noisy, rtol=0, atol=0)


def test_hooks_are_removed_after_an_error():
    model = Two()
    with pytest.raises(RuntimeError, match="boom"), injected([(model, torch.ones(1))], White(1.0), 0):
        raise RuntimeError("boom")
    assert not model._forward_pre_hooks


def test_global_random_state_is_left_alone():
    x, dt = torch.zeros(2, 16, 1), torch.ones(1)
    state = torch.get_rng_state()
    for noise in (FourierMode(1.0), White(1.0), Masking(0.5), Impulse(0.5)):
        noise(x, dt, generator())
    assert torch.equal(torch.get_rng_state(), state)


def test_white_and_masking():
    x = torch.ones(50, 100, 3)
    assert (White(0.3)(x, None, generator()) - x).std().item() == pytest.approx(0.3, rel=0.03)
    masked = Masking(0.25)(x, None, generator())
    zero = (masked == 0).all(-1)
    assert torch.equal(zero, (masked == 0).any(-1))  # whole steps
    assert zero.float().mean().item() == pytest.approx(0.25, abs=4 * math.sqrt(0.25 * 0.75 / 5000))
    assert torch.equal(masked[~zero], x[~zero])


def images():
    return torch.randn(3, 64, 2, generator=generator(4))


def test_images_and_sequences_are_inverse():
    x = images()
    assert torch.equal(as_sequence(as_image(x)), x)
    assert as_image(x)[1, 1, 2, 5] == x[1, 2 * 8 + 5, 1]
    with pytest.raises(ValueError, match="square"):
        as_image(torch.zeros(1, 60, 1))


def test_corruptions_by_definition():
    x = images()
    torch.testing.assert_close(Brightness(0.5)(x, None, None), x + 0.5)
    half = Contrast(0.5)(x, None, None)
    torch.testing.assert_close(half.mean(1), x.mean(1))
    torch.testing.assert_close(half.std(1), x.std(1) / 2)
    image = as_image(x).numpy()
    blurred = as_image(Blur(1)(x, None, None)).numpy()
    np.testing.assert_allclose(blurred[0, 1, 3, 4], image[0, 1, 2:5, 3:6].mean(), rtol=1e-5)
    np.testing.assert_allclose(blurred[2, 0, 0, 7], image[2, 0, 0:2, 6:8].mean(), rtol=1e-5, atol=1e-6)
    coarse = as_image(Pixelate(4)(x, None, None)).numpy()
    np.testing.assert_allclose(coarse[1, 0, 4:, :4], image[1, 0, 4:, :4].mean() * np.ones((4, 4)), rtol=1e-5, atol=1e-6)


def test_impulse_replaces_whole_pixels_by_both_extremes():
    x = torch.zeros(20, 400, 3)
    y = Impulse(0.2)(x, None, generator())
    assert set(y.unique().tolist()) == {-2.0, 0.0, 2.0}
    assert (y == y[..., :1]).all()
    for extreme in (-2.0, 2.0):
        share = (y[..., 0] == extreme).float().mean().item()
        assert share == pytest.approx(0.1, abs=4 * math.sqrt(0.09 / 8000))
