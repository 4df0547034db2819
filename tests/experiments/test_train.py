"""`train.py` from end to end on the digits that ship with the project: results, resumption, evaluation, sweeps, two processes."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from src.errors import EXIT_INTERRUPTED, UserError
from src.experiments.classify.compose import compose_all
from src.experiments.classify.config import parse
from src.experiments.classify.run import prepare, train
from src.experiments.train import main
from src.report import train as report
from src.sweep import Control, Interrupted, Run, RunFolder, collect
from src.tracking.checkpoint import read_checkpoint

ROOT = Path(__file__).parents[2]
SMALL = [
    *("experiment=smoke/digits", "model.n_layers=1", "model.d_model=8", "model.norm=batch", "model.dropout=0.1"),
    *(
        "model.layer.d_state=4",
        "trainer.max_epochs=2",
        "dataset.train_size=320",
        "train.ema=0.9",
        "wandb=null",
        "device=cpu",
    ),
]
CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def the_folder(out) -> RunFolder:
    (path,) = out.glob("train-*")
    (folder,) = collect(out, path.name)
    return folder


def script(*words, launcher=(), **options):
    command = [sys.executable, *launcher, str(ROOT / "train.py"), *map(str, words)]
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)


def test_a_run_leaves_result_log_curves_and_a_report(tmp_path, capsys):
    assert main([*SMALL, "reference.accuracy=99.5", "reference.paper=a paper", f"out={tmp_path}"]) == 0
    printed = capsys.readouterr().out
    assert "99.50 % published" in printed
    assert "blocks.*.layer.kernel.A_real" in printed  # the table of optimizer groups
    folder = the_folder(tmp_path)
    result, rows = folder.result(), folder.metrics()
    epochs = [row for row in rows if "epoch" in row]
    assert [row["epoch"] for row in epochs] == [1, 2]
    assert result["val/accuracy"] == epochs[-1]["val/accuracy"]
    assert result["best/val"] == max(row["val/accuracy"] for row in epochs)
    assert {"test@last/accuracy", "test@best-val/accuracy"} <= result.keys()
    assert (
        result["data"] == "digits: random split, seed 42; subset: 320 of 1,259 train, 179 of 179 val, 359 of 359 test"
    )
    right = folder.load_arrays()  # which test examples: what pairs this run with another one
    for label in ("last", "best-val"):
        assert right[f"test_right@{label}"].mean() == pytest.approx(result[f"test@{label}/accuracy"])
    assert (folder.path / "curves.png").stat().st_size > 5000
    text = report.report(tmp_path)
    assert "1 of 1 runs done" in text
    assert f"{100 * result['test@best-val/accuracy']:.2f}" in text
    assert {"train.md", "train.csv", "train-summary.csv"} <= {path.name for path in (tmp_path / "report").iterdir()}
    assert main([*SMALL, "reference.accuracy=99.5", "reference.paper=a paper", f"out={tmp_path}"]) == 0
    assert "done before" in capsys.readouterr().out


def in_folder(out, control=None, *words):
    config = parse(compose_all([*SMALL, *words])[0].config)
    folder = RunFolder(out, Run("train-digits", config.plain))
    with folder.locked():
        folder.start({})
        folder_control = control or Control()
        folder.finish(train(prepare(config, CPU), folder, folder_control))
    return folder


def ending(folder) -> tuple[dict, dict, list]:
    """All that must not depend on interruptions: weights, result and rows, without clocks."""
    clocks = ("epoch_seconds", "samples_per_second")
    plain = lambda row: {name: value for name, value in row.items() if name not in clocks}
    return read_checkpoint(folder.path / "best.pt"), plain(folder.result()), [plain(row) for row in folder.metrics()]


@pytest.mark.parametrize("after", [3, 10, 13])
def test_stopped_anywhere_and_resumed_equals_uninterrupted_bit_for_bit(tmp_path, after):
    """10 steps an epoch: in the middle of the first, at its end, in the second."""
    whole = in_folder(tmp_path / "whole")
    asked = iter(range(1, 1000))
    with pytest.raises(Interrupted):
        in_folder(tmp_path / "parts", Control(stopped=lambda: next(asked) == after))
    parts = in_folder(tmp_path / "parts")
    (best, result, rows), (best_parts, result_parts, rows_parts) = ending(whole), ending(parts)
    assert result_parts == result
    assert rows_parts == rows
    assert best["model"].keys() == best_parts["model"].keys()
    assert all(torch.equal(best["model"][name], best_parts["model"][name]) for name in best["model"])


def test_killed_and_started_again_ends_as_if_nothing_had_happened(tmp_path):
    words = [*SMALL, "trainer.save_steps=5", "trainer.max_epochs=3"]
    killed = script(*words, f"out={tmp_path / 'killed'}")
    while not list((tmp_path / "killed").glob("*/*/state.pt")) and killed.poll() is None:
        time.sleep(0.01)
    killed.kill()
    killed.communicate()
    assert killed.returncode == -9
    again = script(*words, f"out={tmp_path / 'killed'}")
    out, errors = again.communicate(timeout=120)
    assert again.returncode == 0, errors
    assert "continuing after step" in out
    assert main([*words, f"out={tmp_path / 'whole'}"]) == 0
    (_, result, rows), (_, expected, expected_rows) = (
        ending(the_folder(tmp_path / name)) for name in ("killed", "whole")
    )
    assert result == expected
    assert rows == expected_rows


def test_a_preempted_run_exits_with_the_code_that_schedulers_requeue(tmp_path):
    process = script(*SMALL, "trainer.max_epochs=1000", f"out={tmp_path}")
    while "epoch 1" not in (line := process.stdout.readline()):
        assert line, process.stderr.read()
    process.terminate()
    out, errors = process.communicate(timeout=60)
    assert process.returncode == EXIT_INTERRUPTED, errors
    assert "the same command continues" in out
    assert the_folder(tmp_path).status().state == "interrupted"


def test_a_checkpoint_is_evaluated_and_is_where_another_run_can_start(tmp_path, capsys):
    assert main([*SMALL, f"out={tmp_path}"]) == 0
    folder = the_folder(tmp_path)
    capsys.readouterr()
    for name in ("best.pt", "state.pt"):
        assert main([*SMALL, "train.mode=test", f"train.ckpt={folder.path / name}", f"out={tmp_path}"]) == 0
        printed = capsys.readouterr().out
        kind = "best-val" if name == "best.pt" else "last"
        assert f"test: loss {folder.result()[f'test@{kind}/loss']:.6g}" in printed
    with pytest.raises(UserError, match="of another model"):
        main(
            [*SMALL, "model.d_model=12", "train.mode=test", f"train.ckpt={folder.path / 'best.pt'}", f"out={tmp_path}"]
        )
    with pytest.raises(UserError, match="no such checkpoint"):
        main([*SMALL, "train.mode=test", "train.ckpt=nowhere.pt", f"out={tmp_path}"])
    warm = [
        *SMALL,
        f"train.ckpt={folder.path / 'best.pt'}",
        "trainer.max_steps=1",
        "optimizer.lr=1e-9",
        f"out={tmp_path / 'warm'}",
    ]
    assert main(warm) == 0
    started = the_folder(tmp_path / "warm")
    assert started.result()["val/accuracy"] == pytest.approx(folder.result()["best/val"], abs=0.02)
    assert f"train.ckpt={folder.path.name}/best.pt" in started.run.label.split()  # without the folders above it


def test_multirun_is_a_sweep_that_skips_what_is_done(tmp_path, capsys):
    words = ["-m", *SMALL, "trainer.max_epochs=1", "optimizer.lr=0.01,0.001", "train.seed=0,1", f"out={tmp_path}"]
    assert main([*words, "--dry_run"]) == 0
    assert "4 runs: 0 done" in capsys.readouterr().out
    assert not list(tmp_path.iterdir())
    assert main(words) == 0
    printed = capsys.readouterr().out
    assert "4 runs done" in printed
    assert "s4d optimizer.lr=0.001" in printed
    assert "± 95 % interval" in printed
    results = {
        (f.config["optimizer"]["lr"], f.config["train"]["seed"]): f.result()
        for f in collect(tmp_path, "train-smoke-digits")
    }
    assert len({result["train/loss"] for result in results.values()}) == 4
    assert main(words) == 0
    assert "4 of them before" in capsys.readouterr().out


def test_two_processes_train_what_one_does_with_the_doubled_batch(tmp_path):
    words = [*SMALL, "model.norm=layer", "model.dropout=0.0"]
    torchrun = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2")
    two = script(*words, "loader.batch_size=16", f"out={tmp_path / 'two'}", launcher=torchrun)
    out, errors = two.communicate(timeout=180)
    assert two.returncode == 0, errors
    assert out.count("epoch 2:") == 1  # one process speaks
    assert main([*words, "loader.batch_size=32", f"out={tmp_path / 'one'}"]) == 0
    got, expected = the_folder(tmp_path / "two").result(), the_folder(tmp_path / "one").result()
    assert got["processes"] == 2
    for name in ("train/loss", "val/loss", "test@last/loss"):
        assert got[name] == pytest.approx(expected[name], rel=1e-4)


def test_a_loss_that_is_not_finite_fails_the_run_and_names_the_tensor(tmp_path, capsys):
    assert main([*SMALL, "optimizer.lr=1e15", "model.norm=null", f"out={tmp_path}"]) == 1
    assert "the first tensor that is not finite is" in capsys.readouterr().out
    assert the_folder(tmp_path).status().state == "failed"


def test_a_loss_that_stays_at_chance_is_said(tmp_path, capsys):
    assert main([*SMALL, "optimizer.lr=1e-9", "trainer.max_epochs=3", "model.layer.lr=0", f"out={tmp_path}"]) == 0
    printed = capsys.readouterr().out
    assert "is still that of guessing, 2.2" in printed  # the entropy of the labels, below ln 10
    assert "warning: the training loss" in printed


def test_missing_data_are_one_line_and_leave_no_folder(tmp_path):
    with pytest.raises(UserError, match=r"prepare listops"):
        main(["experiment=lra/s4d-listops", f"dataset.data_dir={tmp_path / 'none'}", f"out={tmp_path / 'out'}"])
    assert not (tmp_path / "out").exists()


def test_resume_never_starts_again(tmp_path):
    asked = iter(range(1, 1000))
    with pytest.raises(Interrupted):
        in_folder(tmp_path, Control(stopped=lambda: next(asked) == 5))
    config = parse(compose_all(SMALL)[0].config)
    folder = RunFolder(tmp_path, Run("train-digits", config.plain))
    with folder.locked():
        folder.start({})
        folder.finish(train(prepare(config, CPU), folder, Control(), resume=False))
    whole = in_folder(tmp_path / "whole")
    assert ending(folder)[1:] == ending(whole)[1:]
    assert json.loads((folder.path / "status.json").read_text())["state"] == "done"
