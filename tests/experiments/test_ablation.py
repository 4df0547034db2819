"""`ablation.py` from end to end, small: the right E in the right run, solved once; baselines; wrong options."""

from pathlib import Path

import numpy as np
import pytest
import torch

from src.errors import UserError
from src.experiments import ablation
from src.experiments.ablation import main, plan_runs, work
from src.experiments.classify.config import parse
from src.experiments.classify.points import defaults_of
from src.experiments.classify.run import prepare
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


def planned(seeds=(0,), as_published=False, **changes):
    small = dict(epochs=1, d_model=8, n_layers=1, batch_size=50, n=4, train_size=100, val_size=20, test_size=40)
    words = [f"{key}={value}" for key, value in {**small, **changes}.items()]
    return plan_runs(["experiment=ablation", "pipeline=digits", *words], seeds, as_published)


def asked(folder_or_run):
    return folder_or_run.config["asked"]


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
    found = {(asked(f)["model"], asked(f)["perturbation"], asked(f)["size"]): f.result() for f in folders}
    assert set(found) == {
        ("s4d", None, None),
        ("s4", None, None),
        *(("s4-ptd", kind, size) for kind in ("optimised", "random") for size in (0.1, 0.02)),
    }
    for size in (0.1, 0.02):
        optimised, random = found["s4-ptd", "optimised", size], found["s4-ptd", "random", size]
        assert optimised["E_size"] == pytest.approx(size, rel=1e-3)
        assert random["E_found_size"] == pytest.approx(optimised["E_size"], rel=1e-9)
        for kept in (optimised, random):  # a system that is stable as it was found is trained as it is
            assert kept["E_max_real"] < 0
            assert (kept["E_size"] == kept["E_found_size"]) is (kept["E_found_max_real"] < 0)
        assert optimised["E_cond"] < random["E_cond"]
    report = tmp_path / "ablation" / "report"
    assert {p.name for p in report.iterdir()} >= {"ablation.csv", "ablation.md", "ablation-digits.png"}
    assert main(words) == 0
    assert "(6 of them before)" in capsys.readouterr().out


def test_each_E_is_solved_once_and_not_once_a_layer(tmp_path, monkeypatch):
    solved = []
    original = named.solve
    monkeypatch.setattr(named, "solve", lambda spec, **rest: solved.append(spec) or original(spec, **rest))
    runs = planned((0, 1), size="[0.1,0.05]", n_layers=3)
    assert len(runs) == 2 * (2 + 2 * 2)
    for run in runs[:4]:
        train(tmp_path / "runs", run)
    assert sorted(spec.size for spec in solved) == [0.05, 0.1]


def test_the_run_has_the_E_that_its_config_says():
    runs = planned((3,), size="[0.1]", baselines="[]")
    optimised, random = (parse(run.config).layer.find() for run in runs)
    expected = solve_cached(Spec(n=4, size=0.1))
    np.testing.assert_array_equal(optimised.E, expected.E)
    np.testing.assert_array_equal(random.E, random_perturbation(4, expected.size, seed=3).E)
    (with_delta, _) = planned(delta="[2]", baselines="[]")
    expected = solve_cached(Spec(n=4, objective="cond", gamma=2.0))
    np.testing.assert_array_equal(parse(with_delta.config).layer.find().E, expected.E)
    (cond,) = planned(size="[0.1]", baselines="[]", perturbations="[cond]")
    expected = solve_cached(Spec(n=4, objective="cond", size=0.1))
    np.testing.assert_array_equal(parse(cond.config).layer.find().E, expected.E)


def test_a_larger_delta_gives_a_smaller_E():
    runs = planned(delta="[0.1,10]", perturbations="[optimised]", baselines="[]")
    norms = [np.linalg.norm(parse(run.config).layer.find().E, 2) for run in runs]
    assert norms[0] > norms[1]


def test_the_published_objective_is_selectable_and_trains(tmp_path):
    runs = planned(
        objective="published", delta="[10]", baselines="[]", solver_iterations=300, states="merged", weight=2
    )
    spec = parse(runs[0].config).layer.spec()
    assert (spec.objective, spec.delta, spec.real, spec.max_iterations) == ("published", 10.0, False, 300)
    for run in runs:
        assert np.isfinite(train(tmp_path / "runs", run).result()["test/loss"])


def test_as_published_sets_what_the_published_code_does(monkeypatch):
    monkeypatch.setattr(ablation, "points", lambda base, seeds: [ablation._baseline("s4d", 0)])
    (run,) = planned(as_published=True, lr=0.0005)
    expected = {"objective": "published", "solver_lr": 1e-5, "solver_iterations": 100_000}
    assert {name: asked(run)[name] for name in expected} == expected
    layer = run.config["model"]["layer"]
    assert (layer["states"], layer["weight"]) == ("merged", 2.0)
    assert layer["lr"]["A"] == layer["lr"]["dt"] == 0.0005  # min(0.001, lr)


def test_by_default_A_dt_D_and_C_with_B_inside_are_trained_per_channel(tmp_path):
    """As published code and paper agree on; --as_published changes the objective and counts the states twice, no more."""
    model = prepare(parse(planned(baselines="[s4d]", perturbations="[]")[0].config), torch.device("cpu")).model
    layer = model.tower.backbone.blocks[0].layer
    trained = {name for name, _ in layer.named_parameters()}
    assert {"kernel.A_real", "kernel.A_imag", "kernel.C", "kernel.inv_dt", "D"} <= trained
    assert layer.kernel.A_real.shape == (8, 4)  # (channels, states)
    assert (layer.kernel.B[..., 0] == 1).all()
    assert "kernel.B" not in trained
    changed = {"objective", "weight", "solver_lr", "solver_iterations"}
    assert set(ablation.AS_PUBLISHED) == changed


def test_the_frozen_form_has_a_name():
    (run,) = planned(baselines="[s4d]", perturbations="[]", states="pairs", n_ssm=1)
    layer = prepare(parse(run.config), torch.device("cpu")).model.tower.backbone.blocks[0].layer
    assert layer.kernel.A_real.shape == (1, 2)
    assert not (layer.kernel.B[..., 0] == 1).all()


def test_published_defaults():
    defaults = defaults_of("ablation")
    published = dict(epochs=200, batch_size=64, n_layers=6, d_model=512, weight_decay=0.01, dropout=0.1, lr=0.01)
    assert {name: defaults[name] for name in published} == published
    assert defaults["delta"] == [1]


def test_interrupted_and_resumed_equals_uninterrupted(tmp_path):
    run = planned(size="[0.1]", epochs=3, baselines="[]")[0]
    whole = train(tmp_path / "whole", run)
    asked = iter(range(100))
    with pytest.raises(Interrupted):
        train(tmp_path / "parts", run, Control(stopped=lambda: next(asked) == 2))
    plain = lambda folder: {k: v for k, v in folder.result().items() if k != "epoch_seconds"}
    assert plain(train(tmp_path / "parts", run)) == plain(whole)


def test_another_solution_than_the_planned_one_is_refused(tmp_path):
    run = planned(size="[0.1]", baselines="[]")[0]
    run.config["contents"]["perturbation"] = "0" * 12
    folder = RunFolder(tmp_path / "runs", run)
    folder.path.mkdir(parents=True)
    with folder.locked():
        folder.start({})
        with pytest.raises(UserError, match="planned with"):
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
