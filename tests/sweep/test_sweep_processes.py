"""Sweeps in worker processes: what is done once is done, what fails is said, and the others go on."""

import os
import shutil
import subprocess
import sys

import pytest
import torch

from src.errors import UserError
from src.sweep import Run, RunFolder, collect, survey
from tests.sweep.sweep_process import ROOT, children, results
from tests.sweep.toy_sweep import N_STEPS, toy_runs, toy_sweep


def test_all_runs_are_done_once_and_leave_no_process(tmp_path, monkeypatch, unbroken):
    monkeypatch.setenv("WANDB_API_KEY", "k" * 40)
    outcome = toy_sweep(tmp_path, workers=2)
    assert sorted(run.key for run in outcome.done) == sorted(run.key for run in toy_runs())
    assert outcome.exit_code == 0
    assert results(tmp_path) == unbroken  # by one worker or by two: the same files
    assert children(os.getpid()) == []
    written = [path.read_text(errors="ignore") for path in tmp_path.glob("toy/*/*")]
    assert not any("k" * 40 in text for text in written)

    again = toy_sweep(tmp_path, work="no.such.module:work")  # nothing to do, so nothing is started
    assert (again.done, again.skipped, again.exit_code) == ([], toy_runs(), 0)


def test_the_folder_holds_the_walk_and_where_it_came_from(unbroken_folder):
    folder = RunFolder(unbroken_folder, toy_runs()[0])
    x = torch.zeros(3)
    generator = torch.Generator().manual_seed(0)
    for _ in range(N_STEPS):
        x = x + torch.randn(3, generator=generator)
    assert folder.result() == {"x": x.tolist()}
    assert folder.load_arrays()["x"].tolist() == x.tolist()
    assert [row["step"] for row in folder.metrics()] == [5, 10, 15, 20]
    assert "torch" in (folder.path / "environment.json").read_text()
    assert [found.run for found in collect(unbroken_folder, "toy")] == sorted(toy_runs(), key=lambda run: run.key)
    assert sorted(found.run.label for found in collect(unbroken_folder, "toy")) == [run.label for run in toy_runs()]


ACCIDENTS = {  # by seed
    1: ("fail", "ValueError: the toy broke"),
    2: ("nan", "FloatingPointError: loss is nan"),
    3: ("memory", "OutOfMemory: ran out of memory; lower the batch size"),
    5: ("full_disk", "OSError: [Errno 27] File too large"),  # the last one, because its worker can write no more
}


def test_failures_are_recorded_the_others_go_on_and_a_retry_equals_an_unbroken_run(tmp_path, capfd, unbroken):
    runs = toy_runs()
    for seed, (kind, _) in ACCIDENTS.items():
        (tmp_path / f"{kind}-{seed}-12").touch()
    outcome = toy_sweep(tmp_path, runs)
    said = capfd.readouterr().err
    assert (outcome.done, outcome.exit_code) == ([runs[0], runs[4]], 1)
    messages = dict(outcome.failed)
    for seed, (kind, message) in ACCIDENTS.items():
        run, folder = runs[seed], RunFolder(tmp_path, runs[seed])
        assert messages[run].startswith(message)
        assert f"failed: {run.name}: {message}" in said
        assert folder.result() is None
        if kind != "full_disk":  # there the failure could not be written either, and the run counts as interrupted
            assert f"({folder.path / 'traceback.txt'})" in said
            assert message in (folder.path / "traceback.txt").read_text()
            assert (folder.status().state, folder.status().step) == ("failed", 10)

    again = toy_sweep(tmp_path, runs[:5], work="no.such.module:work")  # failed runs are reported, not done
    assert (again.done, again.skipped, again.failed) == ([], [runs[0], runs[4]], outcome.failed[:3])
    assert again.exit_code == 1

    retried = toy_sweep(tmp_path, runs, retry_failed=True)
    assert (set(retried.done), retried.exit_code) == ({run for run, _ in outcome.failed}, 0)
    assert results(tmp_path) == unbroken
    assert not list(tmp_path.glob("*/*/traceback.txt"))


def test_a_run_whose_worker_was_killed_continues_but_not_for_ever(tmp_path, capfd):
    """A scheduler kills workers before their parent; the kernel kills what needs too much memory, each time at the same step."""
    (run,) = toy_runs(1)
    kill = tmp_path / "kill-0-12"
    kill.touch()
    outcome = toy_sweep(tmp_path, [run])
    assert (outcome.left, outcome.exit_code) == ([run], 75)
    assert "worker killed by SIGKILL, out of memory?; the same command continues it" in capfd.readouterr().err
    kill.touch()
    message = "WorkerLost: worker killed by SIGKILL, out of memory?"
    assert toy_sweep(tmp_path, [run]).failed == [(run, message)]
    assert message in (RunFolder(tmp_path, run).path / "traceback.txt").read_text()
    assert toy_sweep(tmp_path, [run]).exit_code == 1
    assert toy_sweep(tmp_path, [run], retry_failed=True).done == [run]


def test_a_group_is_one_call_and_workers_take_turns_on_the_devices(tmp_path):
    runs = [Run("toy", {"seed": seed, "N": N}) for N in (32, 64) for seed in range(3)]
    outcome = toy_sweep(
        tmp_path,
        runs,
        work="tests.sweep.toy_work:describe_batch",
        group=lambda run: run.config["N"],
        workers=3,
        devices=["cuda:0", "cuda:1"],
        threads_per_worker=2,
    )
    assert sorted(run.key for run in outcome.done) == sorted(run.key for run in runs)
    found = [RunFolder(tmp_path, run).result() for run in runs]
    assert [result["batch"] for result in found] == [2, 2, 1, 3, 3, 3]  # the first group in two, so that all have a job
    places = {(result["device"], result["sharing"]) for result in found}
    assert places <= {("cuda:0", 2), ("cuda:1", 1)}
    assert [result["threads"] for result in found] == [["2", "2", "2"]] * 6


def test_one_worker_does_many_jobs_and_never_runs_the_main_script_again(tmp_path):
    script = tmp_path / "script.py"  # without a guard, as users write them
    script.write_text(
        "from pathlib import Path\n"
        "from tests.sweep.toy_sweep import toy_runs, toy_sweep\n"
        "print('main script runs')\n"
        f"toy_sweep(Path({str(tmp_path)!r}), toy_runs(3), work='tests.sweep.toy_work:describe_batch')\n"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, str(script)], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.count("main script runs") == 1
    found = [RunFolder(tmp_path, run).result() for run in toy_runs(3)]
    assert len({result["pid"] for result in found}) == 1
    assert {result["main"] for result in found} == {"none"}


def test_work_that_forgets_a_run_fails_it(tmp_path):
    outcome = toy_sweep(tmp_path, toy_runs(1), work="tests.sweep.toy_work:forget_to_finish")
    assert outcome.failed == [(toy_runs(1)[0], "RuntimeError: the work returned without finish() or fail()")]


def test_work_that_cannot_be_imported_is_a_defect(tmp_path):
    with pytest.raises(RuntimeError, match=r"cannot import tests\.sweep\.no_such_module:work"):
        toy_sweep(tmp_path, work="tests.sweep.no_such_module:work")
    assert children(os.getpid()) == []


@pytest.mark.parametrize("out", ["file", "file/below", "/proc/nowhere"])
def test_a_folder_that_cannot_be_written_is_one_clear_line(tmp_path, out):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"--out .*: cannot write there \(.*\); choose another folder"):
        toy_sweep(tmp_path / out)


def test_a_file_system_without_locks_is_one_clear_line(tmp_path, monkeypatch):
    def no_locks(descriptor: int, kind: int) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr("fcntl.flock", no_locks)
    with pytest.raises(UserError, match="this file system has no file locks; choose another folder with --out"):
        toy_sweep(tmp_path)


def test_unknown_launcher_gets_a_suggestion(tmp_path):
    with pytest.raises(UserError, match="did you mean 'process'"):
        toy_sweep(tmp_path, launcher="proces")


def test_a_survey_tells_how_far_runs_are_and_touches_nothing(tmp_path):
    runs = toy_runs(4)
    (tmp_path / "fail-1-7").touch()
    toy_sweep(tmp_path, runs[:2])
    interrupted = RunFolder(tmp_path, runs[2])
    with interrupted.locked():
        interrupted.start({})
        interrupted.save_state({"step": 15})
        assert [run for run, _ in survey(runs, tmp_path).running] == [runs[2]]
    before = sorted(tmp_path.rglob("*"))
    result = survey(runs, tmp_path)
    assert result.lines() == [
        f"done        seed 0 [{runs[0].key}]",
        f"interrupted seed 2 [{runs[2].key}] at step 15: was cut off",
        f"failed      seed 1 [{runs[1].key}] at step 5: ValueError: the toy broke",
        f"new         seed 3 [{runs[3].key}]",
    ]
    assert result.summary() == "1 done, 1 to be continued, 1 failed, 0 running in another sweep, 1 new"
    assert sorted(tmp_path.rglob("*")) == before
    assert survey(runs, tmp_path / "nowhere").new
    assert not (tmp_path / "nowhere").exists()


def test_a_torn_or_foreign_record_is_never_a_result(tmp_path, capfd, unbroken_folder, unbroken):
    shutil.copytree(unbroken_folder, tmp_path, dirs_exist_ok=True)
    runs = toy_runs()
    folders = [RunFolder(tmp_path, run) for run in runs]
    for folder, name in ((folders[1], "status.json"), (folders[2], "result.json")):
        torn = folder.path / name
        torn.write_bytes(torn.read_bytes()[:20])
    (folders[3].path / "result.json").write_bytes((folders[4].path / "result.json").read_bytes())
    assert [folder.result() for folder in folders[1:4]] == [None, None, None]

    outcome = toy_sweep(tmp_path, runs)
    assert (outcome.done, len(outcome.skipped)) == (runs[1:4], 3)
    said = capfd.readouterr().err
    assert f"{runs[1].name}: status.json is torn; it is done again" in said
    assert f"{runs[2].name}: result.json is torn; it is done again" in said
    assert f"{runs[3].name}: result.json is missing or of another run; it is done again" in said
    assert results(tmp_path) == unbroken
