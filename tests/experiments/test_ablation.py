"""`ablation.py` from end to end, small: the right E in the right run, solved once; baselines; wrong options."""

from pathlib import Path

import numpy as np
import pytest

from src.config import build, load_yaml
from src.errors import UserError
from src.experiments import ablation
from src.experiments.ablation import AblationConfig, main, make_runs, work
from src.linalg.ptd import Spec, named, random_perturbation, solve_cached
from src.sweep import Control, Interrupted, RunFolder, collect
from tests.experiments.scripts import assert_one_line, worked

ROOT = Path(__file__).parents[2]
TINY = ["--dataset", "digits", "--epochs", "1", "--d_model", "8", "--n_layers", "1", "--batch_size", "50", "--n", "4"]
SWEEP = ["--seeds", "1", "--num_cpus", "1", "--wandb", "disabled", "--device", "cpu"]
SIZES = ["--set", "train_size=100", "val_size=20", "test_size=40"]


@pytest.fixture(autouse=True)
def own_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setattr(named, "cache_folder", lambda: tmp_path / "cache")


def keys(**changes):
    small = dict(dataset="digits", epochs=1, d_model=8, n_layers=1, batch_size=50, n=4, train_size=100)
    return load_yaml(ablation.CONFIGS / "ablation.yaml") | small | dict(val_size=20, test_size=40) | changes


def train(out, run, control=None):
    return worked(work, RunFolder(out, run), control)


def test_a_sweep_over_sizes_has_baselines_and_both_kinds_of_E(tmp_path, monkeypatch, capsys):
    monkeypatch.undo()
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("SSM_CACHE", str(tmp_path / "cache"))
    words = [*TINY, *SWEEP, *SIZES, "--size", "0.1,0.02", "--out", str(tmp_path)]
    assert main(words) == 0
    assert "6 runs done" in capsys.readouterr().out
    folders = collect(tmp_path, "ablation")
    found = {(f.config["model"], f.config["perturbation"], f.config["size"]): f.result() for f in folders}
    assert set(found) == {
        ("s4d", None, None),
        ("s4", None, None),
        *(("s4-ptd", kind, size) for kind in ("optimised", "random") for size in (0.1, 0.02)),
    }
    for size in (0.1, 0.02):
        optimised, random = found["s4-ptd", "optimised", size], found["s4-ptd", "random", size]
        assert optimised["E_size"] == pytest.approx(size, rel=1e-3)
        assert random["E_size"] == pytest.approx(optimised["E_size"], rel=1e-9)
        assert optimised["E_cond"] < random["E_cond"]
    report = tmp_path / "ablation" / "report"
    assert {p.name for p in report.iterdir()} >= {"ablation.csv", "ablation.md", "ablation-digits.png"}
    assert main(words) == 0
    assert "(6 of them before)" in capsys.readouterr().out


def test_each_E_is_solved_once_and_not_once_a_layer(tmp_path, monkeypatch):
    solved = []
    original = named.solve
    monkeypatch.setattr(named, "solve", lambda spec, **rest: solved.append(spec) or original(spec, **rest))
    runs = make_runs(keys(size=[0.1, 0.05], n_layers=3), (0, 1), "test")
    assert len(runs) == 2 * (2 + 2 * 2)
    for run in runs[:4]:
        train(tmp_path / "runs", run)
    assert sorted(spec.size for spec in solved) == [0.05, 0.1]


def test_the_run_has_the_E_that_its_config_says():
    config = dict(model="s4-ptd", seed=3, perturbation_hash=None, delta=None)
    base = {k: v for k, v in keys().items() if k not in ("perturbations", "baselines", "delta", "size")}
    optimised = build(AblationConfig, {**base, **config, "size": 0.1, "perturbation": "optimised"})
    random = build(AblationConfig, {**base, **config, "size": 0.1, "perturbation": "random"})
    expected = solve_cached(Spec(n=4, size=0.1))
    np.testing.assert_array_equal(optimised.solved().E, expected.E)
    np.testing.assert_array_equal(random.solved().E, random_perturbation(4, expected.size, seed=3).E)
    with_delta = build(AblationConfig, {**base, **config, "delta": 2.0, "size": None, "perturbation": "optimised"})
    np.testing.assert_array_equal(with_delta.solved().E, solve_cached(Spec(n=4, objective="cond", gamma=2.0)).E)


def test_a_larger_delta_gives_a_smaller_E():
    runs = make_runs(keys(delta=[0.1, 10.0], perturbations=["optimised"], baselines=[]), (0,), "test")
    configs = [build(AblationConfig, run.config) for run in runs]
    norms = [np.linalg.norm(config.solved().E, 2) for config in configs]
    assert norms[0] > norms[1]


def test_the_published_objective_is_selectable_and_trains(tmp_path):
    chosen = keys(objective="published", delta=[10.0], baselines=[], solver_iterations=300, states="merged")
    runs = make_runs(chosen, (0,), "test")
    spec = build(AblationConfig, runs[0].config).spec()
    assert (spec.objective, spec.delta, spec.real, spec.max_iterations) == ("published", 10.0, False, 300)
    for run in runs:
        assert np.isfinite(train(tmp_path / "runs", run).result()["test_loss"])


def test_as_published_sets_what_the_published_code_does(tmp_path, monkeypatch, capsys):
    seen = {}
    monkeypatch.setattr(ablation, "make_runs", lambda chosen, seeds, where: seen.update(chosen) or [])
    with pytest.raises(IndexError):  # no runs to go on with
        main([*TINY, *SWEEP, "--as_published", "--out", str(tmp_path), "--lr", "0.0005"])
    expected = {"objective": "published", "states": "merged", "solver_lr": 1e-5, "solver_iterations": 100_000}
    assert {name: seen[name] for name in expected} == expected
    assert seen["ssm_lr"] == 0.0005  # min(0.001, lr)


def test_published_defaults():
    defaults = load_yaml(ablation.CONFIGS / "ablation.yaml")
    published = dict(epochs=200, batch_size=64, n_layers=6, d_model=512, weight_decay=0.01, dropout=0.1, lr=0.01)
    assert {name: defaults[name] for name in published} == published
    assert defaults["delta"] == [1]


def test_interrupted_and_resumed_equals_uninterrupted(tmp_path):
    run = make_runs(keys(size=[0.1], epochs=3, baselines=[]), (0,), "test")[0]
    whole = train(tmp_path / "whole", run)
    asked = iter(range(100))
    with pytest.raises(Interrupted):
        train(tmp_path / "parts", run, Control(stopped=lambda: next(asked) == 2))
    assert train(tmp_path / "parts", run).result() == whole.result()


def test_another_solution_than_the_planned_one_is_refused(tmp_path):
    run = make_runs(keys(size=[0.1], baselines=[]), (0,), "test")[0]
    run.config["perturbation_hash"] = "0" * 12
    folder = RunFolder(tmp_path / "runs", run)
    folder.path.mkdir(parents=True)
    with folder.locked():
        folder.start({})
        with pytest.raises(UserError, match="another E"):
            work([folder], Control())


WRONG = [
    (["--delta", "1", "--size", "0.1"], "not both"),
    (["--delta", "big"], "expected numbers"),
    (["--delta", "-1"], "positive"),
    (["--size", "0"], "positive"),
    (["--objective", "publised"], "did you mean 'published'"),
    (["--objective", "published", "--size", "0.1"], "--delta"),
    (["--detla", "1"], "did you mean '--delta'"),
    (["--set", "perturbations=[optimized]"], "optimised"),
    (["--set", "baselines=[s4dd]"], "did you mean 's4d'"),
    (["--epochs", "-1"], "epochs"),
]


@pytest.mark.parametrize(("words", "expected"), WRONG, ids=[" ".join(words) for words, _ in WRONG])
def test_a_wrong_option_is_one_line_and_exit_code_2(words, expected, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert_one_line(main, ["--dataset", "digits", *words], expected, capsys)
    assert not list(tmp_path.iterdir())
