"""`train_theory.py` from end to end, small: results, resumption, failures, and every wrong option in one line."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from src.errors import UserError
from src.experiments import theory
from src.experiments.theory import main
from src.experiments.theory_work import work
from src.sweep import Control, Interrupted, Run, RunFolder, collect
from src.theory.config import TheoryConfig
from src.theory.polar import impulse_response
from src.theory.targets import target
from tests.experiments.scripts import assert_one_line, worked

ROOT = Path(__file__).parents[2]
SMALL = ["--num_epochs", "400", "--seeds", "1", "--wandb", "disabled", "--num_cpus", "2"]
COMPLEX = ["--experiment", "complex", *SMALL, "--set", "N=[4,6]", "lr=1e-2", "BC_std=0.1"]
REAL = ["--experiment", "real", *SMALL, "--set", "N=12", "L=6", "lr=[1e-2]", "r_min=0.5", "opt=[adam,radam]"]


def script(*words, cwd=ROOT, **env):
    command = [sys.executable, str(ROOT / "train_theory.py"), *map(str, words)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=240, env={**os.environ, **env})


def run_folder(out, **changes):
    defaults = dict(N=5, complex_option=True, L=7, task_name="random", num_epochs=1000, lr=1e-2, BC_std=0.1)
    folder = RunFolder(out, Run("theory-complex", TheoryConfig(**{**defaults, **changes}).plain()))
    folder.path.mkdir(parents=True)
    return folder


def train(folder, control=None):
    return worked(work, folder, control)


def test_both_sweeps_from_the_command_line(tmp_path):
    first = script(*COMPLEX, "--out", tmp_path)
    assert first.returncode == 0, first.stderr
    assert "6 runs done (0 of them before)" in first.stdout
    assert "squared L2, least" in first.stdout
    second = script(*COMPLEX, "--out", tmp_path)
    assert "6 runs done (6 of them before)" in second.stdout
    real = script(*REAL, "--out", tmp_path)
    assert real.returncode == 0, real.stderr
    for experiment, count in (("theory-complex", 6), ("theory-real", 6)):
        folders = collect(tmp_path, experiment)
        assert len(folders) == count
        for folder in folders:
            result, arrays, c = folder.result(), folder.load_arrays(), folder.config
            np.testing.assert_array_equal(arrays["target"], target(c["task_name"], c["L"], c["seed"]))
            assert result["loss"] == pytest.approx(((arrays["response"] - arrays["target"]) ** 2).sum(), rel=1e-12)
            assert 0 < result["min_loss"] < 1
            assert len(folder.metrics()) == 400
    both = subprocess.run([sys.executable, "-m", "src.report", str(tmp_path)], cwd=ROOT, capture_output=True, text=True)
    assert both.returncode == 0, both.stderr
    assert {p.name for p in (tmp_path / "report").iterdir()} >= {"table.md", "table.csv", "summary.csv", "prices.csv"}
    assert list((tmp_path / "report").glob("*.png"))


def test_the_script_works_from_another_folder(tmp_path):
    run = script("--experiment", "real", "--dry_run", "--num_epochs", "10", cwd=tmp_path, PYTHONPATH="")
    assert run.returncode == 0, run.stderr
    assert "162 runs" in run.stdout


@pytest.mark.parametrize("backend", ["compiled", "torch"])
def test_interrupted_and_resumed_equals_uninterrupted(tmp_path, monkeypatch, backend):
    monkeypatch.setenv("SSM_BACKEND", backend)
    whole = train(run_folder(tmp_path / "whole"))
    chunks = iter(range(1000))
    stops_at_100 = Control(stopped=lambda: next(chunks) == 100)
    parts = run_folder(tmp_path / "parts")
    with pytest.raises(Interrupted):
        train(parts, stops_at_100)
    state = RunFolder(tmp_path / "parts", parts.run).status()
    assert (state.state, state.step) == ("interrupted", 202)
    resumed = train(RunFolder(tmp_path / "parts", parts.run))
    for name, value in whole.load_arrays().items():
        np.testing.assert_array_equal(resumed.load_arrays()[name], value, err_msg=name)
    assert resumed.metrics() == whole.metrics()
    timing = {"seconds", "steps_per_second"}
    results = [{k: v for k, v in folder.result().items() if k not in timing} for folder in (whole, resumed)]
    assert results[0] == results[1]


def test_the_fused_kernel_ends_a_run_too(tmp_path, monkeypatch):
    """Where one program trains all runs on a GPU: few steps here, in Triton's interpreter."""
    pytest.importorskip("triton", reason="Triton has no build for this platform")
    compiled = train(run_folder(tmp_path / "compiled", num_epochs=6)).result()
    monkeypatch.setenv("SSM_BACKEND", "triton")
    fused = train(run_folder(tmp_path / "fused", num_epochs=6)).result()
    assert (fused["steps"], fused["min_loss_step"]) == (6, compiled["min_loss_step"])
    assert fused["loss"] == pytest.approx(compiled["loss"], rel=1e-5)


def test_runs_of_one_batch_may_stand_at_different_steps(tmp_path, monkeypatch):
    monkeypatch.setenv("SSM_BACKEND", "torch")
    folders = [run_folder(tmp_path, seed=seed) for seed in (0, 1)]
    chunks = iter(range(1000))
    with pytest.raises(Interrupted):
        train(folders[0], Control(stopped=lambda: next(chunks) == 10))
    again = [RunFolder(tmp_path, folder.run) for folder in folders]
    for folder in again:
        folder.start({})
    work(again, Control())
    monkeypatch.setenv("SSM_BACKEND", "compiled")
    alone = train(run_folder(tmp_path / "alone", seed=1))
    np.testing.assert_allclose(
        again[1].load_arrays()["response"], alone.load_arrays()["response"], rtol=1e-3, atol=1e-4
    )
    assert [folder.status().state for folder in again] == ["done", "done"]


def test_the_result_is_judged_from_the_saved_parameters(tmp_path):
    folder = train(run_folder(tmp_path))
    state = folder.load_arrays()
    saved = RunFolder(tmp_path, folder.run).load_state()
    K = impulse_response(saved["theta"].numpy(), saved["signs"].numpy(), 7)
    np.testing.assert_array_equal(K, state["response"])
    l1 = np.abs(K - state["target"]).sum()
    assert folder.result()["l1_raw"] == pytest.approx(l1, rel=1e-12)
    assert folder.result()["l1"] == pytest.approx(l1 / np.abs(state["target"]).sum(), rel=1e-12)


def test_a_diverging_run_fails_and_the_others_go_on(tmp_path):
    run = script(
        "--experiment", "complex", *SMALL, "--out", tmp_path, "--set", "N=4", "lr=[1e-3,1e30]", "task_name=delay"
    )
    assert run.returncode == 1
    assert "1 runs done" in run.stdout
    assert "the loss is" in run.stderr + run.stdout
    assert "lr = 1e+30 is too large?" in run.stderr + run.stdout
    states = sorted(folder.status().state for folder in collect(tmp_path, "theory-complex"))
    assert states == ["done", "failed"]
    again = script(
        "--experiment", "complex", *SMALL, "--out", tmp_path, "--set", "N=4", "lr=[1e-3,1e30]", "task_name=delay"
    )
    assert again.returncode == 1


def test_as_published_is_another_run_and_says_so(tmp_path, capsys):
    options = ["--experiment", "complex", *SMALL, "--out", str(tmp_path), "--set", "N=4", "task_name=copy"]
    assert main(options) == 0
    assert main([*options, "--as_published"]) == 0
    assert "as published" in capsys.readouterr().out
    configs = [folder.config for folder in collect(tmp_path, "theory-complex")]
    assert sorted((c["zero_grad"], c["radius_density"]) for c in configs) == [(False, "area"), (True, "area")]


def test_names_of_the_tables_and_of_the_paper_are_taken_too(tmp_path, capsys):
    options = ["--experiment", "complex", "--dry_run", "--seeds", "1", "--out", str(tmp_path)]
    assert main([*options, "n=4", "t=8", "target=copy", "optimizer=adam"]) == 0
    (theirs,) = [line for line in capsys.readouterr().out.splitlines() if "[" in line]  # with the run's key
    assert main([*options, "N=4", "L=8", "task_name=delay", "opt=adam"]) == 0
    assert theirs in capsys.readouterr().out
    with pytest.raises(UserError, match="n and N are two names of one key"):
        main([*options, "n=4", "N=8"])


def test_dry_run_lists_and_touches_nothing(tmp_path, capsys):
    out = tmp_path / "runs"
    assert main([*REAL, "--out", str(out), "--dry_run"]) == 0
    text = capsys.readouterr().out
    assert "6 runs" in text
    assert "about" in text
    assert not out.exists()


def test_published_grids_have_their_sizes():
    for field, count in (("real", 162), ("complex", 36)):
        args = theory._parser().parse_args(["--experiment", field])
        where = theory.CONFIGS / f"theory_{field}.yaml"
        base, axes, _ = theory._settings(args, [], where)
        runs = [theory._run("x", point, False, str(where)) for point in theory.expand_grid(base, axes)]
        assert len({run.key for run in runs}) == count
        assert all(run.config["num_epochs"] == 500_000 for run in runs)


WRONG = [
    (["--experiment", "reel"], "did you mean 'real'"),
    ([], "--experiment"),
    (["--experiment", "real", "--num_cpu", "2"], "did you mean '--num_cpus'"),
    (["--experiment", "real", "--num_cpus", "0"], "at least 1"),
    (["--experiment", "real", "--num_epochs", "-5"], "at least 1"),
    (["--experiment", "real", "--num_epochs", "ten"], "at least 1"),
    (["--experiment", "real", "--seeds", "x"], "expected how many seeds"),
    (["--experiment", "real", "--set", "lrr=1"], "did you mean 'lr'"),
    (["--experiment", "real", "--set", "lr"], "expected key=value"),
    (["--experiment", "real", "--set", "lr=fast"], "is not a number"),
    (["--experiment", "real", "--set", "lr=-1"], "positive"),
    (["--experiment", "real", "--set", "N=2.5"], "is not a whole number"),
    (["--experiment", "real", "--set", "N=0"], "expected 1 or more"),
    (["--experiment", "real", "--set", "L=M"], "is not"),
    (["--experiment", "real", "--set", "opt=adm"], "did you mean 'adam'"),
    (["--experiment", "real", "--set", "task_name=copi"], "did you mean 'copy'"),
    (["--experiment", "real", "--set", "r_min=1"], "r_min"),
    (["--experiment", "real", "--set", "task_name=[]"], "empty list"),
    (["--experiment", "real", "--launcher", "slurm"], "is not a choice"),
    (["--experiment", "real", "--wandb", "ofline"], "did you mean 'offline'"),
    (["--experiment", "real", "--device", "tpu"], "is not a choice"),
]


@pytest.mark.parametrize(("words", "expected"), WRONG, ids=[" ".join(words) for words, _ in WRONG])
def test_a_wrong_option_is_one_line_and_exit_code_2(words, expected, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert_one_line(main, words, expected, capsys)
    assert not list(tmp_path.iterdir())


def test_an_unusable_out_folder_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    run = script(*COMPLEX, "--out", tmp_path / "file")
    assert run.returncode == 2
    assert len(run.stderr.strip().splitlines()) == 1
    assert "file" in run.stderr


def test_config_of_a_run_is_plain_json():
    assert json.loads(json.dumps(TheoryConfig(N=4, complex_option=True, L="N", task_name="copy").plain()))["L"] == 4
