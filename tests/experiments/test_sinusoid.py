"""The sinusoid regression: its data, its frozen systems, and the failure of S4D at its spike in small."""

import numpy as np
import pytest
import torch

from src.experiments.sinusoid import SinusoidConfig, _make_run, errors, main, make_model, training_batch, waves, work
from src.linalg.legs_transfer import last_spike
from src.sweep import Control, Interrupted, RunFolder
from tests.experiments.scripts import assert_one_line, worked

SMALL = dict(steps=6, d_model=4, n_layers=1, L=50, batch_size=8)


def train(out, run, control=None):
    return worked(work, RunFolder(out, run), control)


def test_inputs_are_sinusoids_and_targets_their_parameters():
    config = SinusoidConfig(model="s4d", seed=0)
    x, y = waves(torch.tensor([3.0, 80.0]), torch.tensor([1.0, 0.5]), config)
    assert x.shape == (2, 400, 1)
    assert x[1, 123, 0].item() == pytest.approx(0.5 * np.cos(80 * 1.23), abs=1e-6)
    np.testing.assert_allclose(y.numpy(), [[3 / 60, 1.0], [80 / 60, 0.5]], rtol=1e-6)


def test_training_draws_from_the_range_and_repeats():
    config = SinusoidConfig(model="s4d", seed=0, batch_size=2000)
    _, y = training_batch(config, 0, 5)
    s, A = y[:, 0] * config.s_max, y[:, 1]
    assert 1 <= s.min() < 2 < 59 < s.max() <= 60
    assert 0.5 <= A.min() < 0.51 < 1.99 < A.max() <= 2
    assert torch.equal(y, training_batch(config, 0, 5)[1])
    assert not torch.equal(y, training_batch(config, 0, 6)[1])


def test_the_spike_lies_outside_the_trained_range_and_inside_the_tested_one():
    config = SinusoidConfig(model="s4d", seed=0)
    assert config.s_max < last_spike(config.n) == pytest.approx(80.97, abs=0.01)
    assert last_spike(config.n) < config.s_test < np.pi / config.dt


def test_only_C_and_the_maps_around_learn():
    for model in ("s4d", "s4"):
        names = {
            name.rpartition(".")[2] for name, _ in make_model(SinusoidConfig(model=model, seed=0)).named_parameters()
        }
        assert names == {"weight", "bias", "C"}


def test_an_untrained_S4D_answers_a_sinusoid_at_the_spike_much_louder_than_S4():
    """What the regression meets: the first layer's response at 81 is an order of magnitude above that at 60, for S4D alone."""
    ratios = {}
    for name in ("s4d", "s4", "s4-ptd"):
        config = SinusoidConfig(model=name, seed=0, d_model=64)
        run = _make_run({"d_model": 64}, name, 0)
        config = SinusoidConfig(**run.config)
        kernel = make_model(config).tower.backbone.blocks[0].layer.kernel
        t = config.dt * np.arange(config.L)
        K = kernel(config.L)[0].detach().numpy()
        gain = [np.abs(K @ np.exp(-1j * w * t)).mean() for w in (60.0, last_spike(16))]
        ratios[name] = gain[1] / gain[0]
    assert ratios["s4d"] > 10
    assert ratios["s4"] < 1.2
    assert ratios["s4-ptd"] < 1.2


def test_errors_are_root_mean_squares():
    config = SinusoidConfig(model="s4d", seed=0)
    s = np.array([10.0, 20.0, 70.0, 80.0])
    predicted = np.array([[11.0, 1.0], [20.0, 1.2], [70.0, 1.0], [50.0, -4.0]])
    found = errors(s, predicted, config)
    assert found["s_interpolation"] == pytest.approx(np.sqrt(0.5))
    assert found["s_extrapolation"] == pytest.approx(np.sqrt(450))
    assert found["A_interpolation"] == pytest.approx(np.sqrt(0.02))
    assert found["A_extrapolation"] == pytest.approx(np.sqrt(12.5))
    assert (found["worst_A"], found["worst_A_at"]) == (-4.0, 80.0)


def test_interrupted_and_resumed_equals_uninterrupted(tmp_path):
    run = _make_run(SMALL, "s4-ptd", 0)
    whole = train(tmp_path / "whole", run)
    asked = iter(range(100))
    with pytest.raises(Interrupted):
        train(tmp_path / "parts", run, Control(stopped=lambda: next(asked) == 3))
    parts = train(tmp_path / "parts", run)
    assert parts.result() == whole.result()
    assert "FFT convolution" in whole.result()["backends"]
    np.testing.assert_array_equal(parts.load_arrays()["predicted_A"], whole.load_arrays()["predicted_A"])


@pytest.mark.slow
def test_the_command_writes_table_and_figure(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    words = ["--seeds", "1", "--num_cpus", "1", "--wandb", "disabled", "--device", "cpu", "--out", str(tmp_path)]
    words += ["--set", *[f"{key}={value}" for key, value in SMALL.items()]]
    assert main(words) == 0
    assert "S4-PTD" in capsys.readouterr().out
    assert {p.name for p in (tmp_path / "sinusoid" / "report").iterdir()} == {
        ".sinusoid.json",
        "sinusoid.csv",
        "sinusoid-runs.csv",
        "sinusoid.md",
        "sinusoid.png",
    }


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--models", "s5"], "s4d, s4-ptd and s4"),
        (["--set", "stepz=3"], "did you mean 'steps'"),
        (["--set", "steps=0"], "positive"),
        (["--set", "s_max=200"], "s_test"),
        (["--set", "perturbation=ptbHiPPO32.mat"], "n = 32"),
    ],
)
def test_a_wrong_option_is_one_line(words, expected, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert_one_line(main, words, expected, capsys)
