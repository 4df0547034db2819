"""The same runs on a real local Ray: the same files, the same failures, the same stop."""

import os
import signal
import sys

import pytest

from src.errors import UserError
from src.sweep import RunFolder
from src.sweep.ray_launcher import share_of_gpu, visible_gpus
from tests.sweep.sweep_process import PATIENCE, is_alive, results, sweep_process, wait_for, wait_for_gate
from tests.sweep.toy_sweep import toy_runs, toy_sweep


def test_without_ray_one_line_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UserError, match="--launcher ray needs the package ray: pip install ray"):
        toy_sweep(tmp_path, launcher="ray")


def test_as_many_runs_fit_on_a_card_as_share_it():
    """And not one more, in Ray's units of 1/10,000."""
    for sharing in range(1, 100):
        units = round(10_000 * share_of_gpu(sharing))
        assert sharing * units <= 10_000 < (sharing + 1) * units


@pytest.mark.parametrize(
    ("before", "devices", "seen"),
    [
        (None, ["cuda:1", "cuda:3", "cuda:1"], ["1", "3"]),
        ("4,GPU-8932", ["cuda:1"], ["GPU-8932"]),
        ("2,3", ["cpu"], []),
    ],
)
def test_a_local_ray_sees_the_gpus_of_the_sweep(monkeypatch, before, devices, seen):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if before is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", before)
    with visible_gpus(devices) as names:
        assert names == seen
        assert os.environ.get("CUDA_VISIBLE_DEVICES") == (",".join(seen) or before)
    assert os.environ.get("CUDA_VISIBLE_DEVICES") == before


def test_ray_gives_the_results_and_failures_of_processes(tmp_path, unbroken):
    pytest.importorskip("ray")
    runs = toy_runs()
    (tmp_path / "fail-1-12").touch()
    (tmp_path / "kill-2-7").touch()
    # two runs at a time on a GPU that only Ray's books know
    with sweep_process(tmp_path, "--launcher", "ray", "--workers", "2", "--device", "cuda:1") as sweep:
        said, _ = sweep.communicate(timeout=PATIENCE)
    assert sweep.returncode == 1
    assert f"failed: {runs[1].name}: ValueError: the toy broke" in said
    assert f"failed: {runs[2].name}: WorkerLost: Ray worker died (WorkerCrashedError), out of memory?" in said
    assert "sweep: 4/6 runs done, 2 failed" in said
    steps = [RunFolder(tmp_path, run).status().step for run in runs]
    assert steps == [20, 10, 5, 20, 20, 20]
    assert {RunFolder(tmp_path, run).status().device for run in runs} == {"cuda"}
    assert toy_sweep(tmp_path, retry_failed=True).exit_code == 0
    assert results(tmp_path) == unbroken


def test_ray_stops_with_the_state_saved_and_leaves_nothing_alive(tmp_path, unbroken):
    pytest.importorskip("ray")
    (tmp_path / "gate-0-12").touch()
    with sweep_process(tmp_path, "--launcher", "ray") as sweep:
        wait_for_gate(tmp_path, 0, 12)
        worker = int((tmp_path / "at-gate-0-12").read_text())
        sweep.send_signal(signal.SIGTERM)
        said, _ = sweep.communicate(timeout=PATIENCE)
    assert sweep.returncode == 75
    assert "6 left: the same command continues them" in said
    assert RunFolder(tmp_path, toy_runs()[0]).status().step == 12
    wait_for(lambda: not is_alive(worker), "Ray's worker to leave")
    (tmp_path / "gate-0-12").unlink()
    assert toy_sweep(tmp_path).exit_code == 0
    assert results(tmp_path) == unbroken
