"""Sweeps that are stopped, killed or run twice: nothing is lost, nothing lives on, and the files end up the same."""

import os
import signal
import subprocess
import sys
import time

from src.sweep import RunFolder
from tests.sweep.sweep_process import (
    PATIENCE,
    ROOT,
    children,
    is_alive,
    results,
    sweep_process,
    wait_for,
    wait_for_gate,
)
from tests.sweep.toy_sweep import toy_runs, toy_sweep


def test_a_signal_saves_the_state_and_the_same_command_goes_on(tmp_path, unbroken):
    (tmp_path / "gate-0-12").touch()
    (tmp_path / "gate-1-7").touch()
    with sweep_process(tmp_path, "--workers", "2") as sweep:
        wait_for_gate(tmp_path, 0, 12)
        wait_for_gate(tmp_path, 1, 7)
        workers = children(sweep.pid)
        sweep.send_signal(signal.SIGTERM)
        said, _ = sweep.communicate(timeout=PATIENCE)
    assert sweep.returncode == 75
    assert "SIGTERM: saving the state" in said
    assert "0 runs done (0 of them before), 6 left: the same command continues them" in said
    assert not any(is_alive(pid) for pid in workers)
    steps = [RunFolder(tmp_path, run).status().step for run in toy_runs()]
    assert steps == [12, 7, None, None, None, None]

    finish_and_compare(tmp_path, unbroken)


def test_the_second_signal_kills_work_that_does_not_listen(tmp_path):
    (tmp_path / "deaf_gate-0-12").touch()
    with sweep_process(tmp_path) as sweep:
        wait_for_gate(tmp_path, 0, 12)
        workers = children(sweep.pid)
        sweep.send_signal(signal.SIGINT)
        time.sleep(1.0)
        assert sweep.poll() is None
        sweep.send_signal(signal.SIGTERM)
        said, _ = sweep.communicate(timeout=PATIENCE)
    assert sweep.returncode == 75
    assert "killing the runs" in said
    assert not any(is_alive(pid) for pid in workers)
    status = RunFolder(tmp_path, toy_runs()[0]).status()
    assert (status.state, status.step, status.message) == ("interrupted", 10, "was cut off")


def test_workers_do_not_outlive_a_killed_parent(tmp_path, unbroken):
    (tmp_path / "gate-0-12").touch()
    with sweep_process(tmp_path) as sweep:
        wait_for_gate(tmp_path, 0, 12)
        workers = children(sweep.pid)
        assert len(workers) == 1
        sweep.kill()
        sweep.wait()
        wait_for(lambda: not any(is_alive(pid) for pid in workers), "the workers to leave")
    assert RunFolder(tmp_path, toy_runs()[0]).status().step == 12  # saved on the way out
    finish_and_compare(tmp_path, unbroken)


def test_everything_killed_at_once_as_in_a_power_failure(tmp_path, unbroken):
    (tmp_path / "deaf_gate-0-12").touch()
    with sweep_process(tmp_path) as sweep:
        wait_for_gate(tmp_path, 0, 12)
        for pid in [sweep.pid, *children(sweep.pid)]:
            os.kill(pid, signal.SIGKILL)
        sweep.wait()
    assert RunFolder(tmp_path, toy_runs()[0]).status().step == 10
    finish_and_compare(tmp_path, unbroken)


def test_a_worker_that_does_not_listen_is_ended_after_its_parent():
    program = (
        "import os, subprocess, sys, time\n"
        "import src.sweep.worker as worker\n"
        "worker.ORPHAN_GRACE = worker.WATCH_SECONDS = 0.1\n"
        "pid = os.getpid()\n"
        "if os.fork() == 0:\n"
        "    ours, theirs = __import__('multiprocessing').Pipe()\n"
        "    worker._serve = lambda *_: time.sleep(600)\n"
        "    ours.send((None, 'cpu', sys.path))\n"
        "    print(os.getpid(), flush=True)\n"
        "    worker.main(theirs.fileno(), pid)\n"
        "time.sleep(0.5)\n"
        "os._exit(0)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    wait_for(lambda: not is_alive(int(done.stdout)), "the orphan to end")


def test_two_sweeps_in_one_folder_share_the_runs(tmp_path, capfd, unbroken):
    (tmp_path / "gate-0-12").touch()
    with sweep_process(tmp_path) as first:
        wait_for_gate(tmp_path, 0, 12)
        second = toy_sweep(tmp_path)
        assert (second.done, second.failed) == (toy_runs()[1:], [])
        assert [run for run, _ in second.locked] == toy_runs()[:1]
        assert second.exit_code == 75
        assert "seed 0" in capfd.readouterr().err.split(" is being done by another sweep")[0]
        who = f"process {children(first.pid)[0]}, since "
        assert "1 in the hands of another sweep" in second.report(tmp_path)
        assert who in second.report(tmp_path)
        (tmp_path / "gate-0-12").unlink()
        said, _ = first.communicate(timeout=PATIENCE)
    assert first.returncode == 0
    assert "6 runs done" in said
    assert results(tmp_path) == unbroken


def finish_and_compare(tmp_path, unbroken) -> None:
    for gate in tmp_path.glob("*gate-*"):
        gate.unlink()
    outcome = toy_sweep(tmp_path)
    assert (outcome.exit_code, outcome.failed) == (0, [])
    assert results(tmp_path) == unbroken
