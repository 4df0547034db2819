"""A run that is killed and started again ends with the same bits as one that was not."""

import os
import signal
import subprocess
import sys

import pytest
import torch

from src.engine import MemoryStore, load_weights, weights_in
from src.errors import EXIT_INTERRUPTED
from src.stop import Interrupted
from src.tracking import JsonlLog, read_jsonl
from src.tracking.checkpoint import read_checkpoint
from tests.engine.ports import FileStore
from tests.engine.small import fingerprint, full_run, without_times

N_STEPS = 24


class Killed(Exception):
    pass


def kill_at(step: int):
    """An `advance` that ends the process, as far as it can be had inside one, right after that step."""
    done = 0

    def advance(n_steps: int) -> None:
        nonlocal done
        done += n_steps
        if done == step:
            raise Killed

    return advance


@pytest.fixture(scope="module")
def unbroken() -> str:
    return fingerprint(*full_run())


@pytest.mark.parametrize("step", [1, 2, 4, 6, 7, 13, 23, 24])
def test_killed_after_any_step_and_resumed_equals_unbroken(unbroken, tmp_path, step):
    with pytest.raises(Killed):
        full_run(store=FileStore(tmp_path, "a"), advance=kill_at(step))
    found = []
    state, result = full_run(store=FileStore(tmp_path, "a"), resumed=found.append)
    assert found == ([step - 1 - (step - 1) % 3] if step > 3 else [])
    assert fingerprint(state, result) == unbroken


def test_killed_again_and_again(unbroken, tmp_path):
    for _ in range(5):
        with pytest.raises(Killed):
            full_run(store=FileStore(tmp_path, "a"), advance=kill_at(5))
    assert fingerprint(*full_run(store=FileStore(tmp_path, "a"))) == unbroken


def test_a_run_that_was_finished_is_not_trained_again(unbroken, tmp_path):
    full_run(store=FileStore(tmp_path, "a"))
    assert fingerprint(*full_run(store=FileStore(tmp_path, "a"), advance=kill_at(1))) == unbroken


def test_without_a_saved_random_state_the_end_would_differ(unbroken, tmp_path):
    """The test above can fail: dropout does matter."""
    with pytest.raises(Killed):
        full_run(store=FileStore(tmp_path, "a"), advance=kill_at(8))
    store = FileStore(tmp_path, "a")
    saved = store.load_state()
    saved["processes"][0]["rng"]["torch"] = torch.Generator().manual_seed(99).get_state()
    store.save_state(saved)
    assert fingerprint(*full_run(store=FileStore(tmp_path, "a"))) != unbroken


def test_logging_and_saving_change_nothing(unbroken):
    assert fingerprint(*full_run(store=MemoryStore(), log=lambda step, **values: None)) == unbroken


def test_stop_saves_the_state_of_this_very_step(unbroken, tmp_path):
    asked = iter([False] * 7 + [True])  # after each step, and after the first epoch
    with pytest.raises(Interrupted, match="step 7"):
        full_run(store=FileStore(tmp_path, "a"), stop=lambda: next(asked))
    assert FileStore(tmp_path, "a").load_state()["step"] == 7
    assert fingerprint(*full_run(store=FileStore(tmp_path, "a"))) == unbroken


@pytest.mark.parametrize("step", [6, 12, 18, 24])
def test_killed_while_an_epoch_is_logged_or_saved(tmp_path, step):
    """Between the row of an epoch and the state that follows it: the row is neither lost nor there twice."""

    def run(path, kill: bool) -> list[dict]:
        log = JsonlLog(path / "log.jsonl")

        def log_row(at: int, **values: float) -> None:
            log.log(at, **values)
            if kill and at == step and "epoch" in values:
                raise Killed

        if not (path / "last.pt").exists():
            log.rewind(-1)
        full_run(store=FileStore(path, "a"), log=log_row, resumed=log.rewind)
        return without_times(read_jsonl(log.path))

    (tmp_path / "broken").mkdir()
    (tmp_path / "whole").mkdir()
    with pytest.raises(Killed):
        run(tmp_path / "broken", kill=True)
    assert run(tmp_path / "broken", kill=False) == run(tmp_path / "whole", kill=False)


def test_weights_to_evaluate_are_in_both_files(tmp_path):
    state, _ = full_run(store=FileStore(tmp_path, "a"))
    for name, tensor in weights_in(read_checkpoint(tmp_path / "last.pt")).items():
        assert torch.equal(tensor, state.weights()[name])
    best = read_checkpoint(tmp_path / "best.pt")
    assert best["epoch"] == state.best_epoch
    load_weights(state.model, weights_in(best))


def launch(folder, delay: float) -> subprocess.Popen:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "tests.engine.small", str(folder), str(delay)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment)


def end_after(process: subprocess.Popen, n_steps: int, signum: int) -> int:
    for _ in range(n_steps):
        assert process.stdout.readline() == "step\n"
    process.send_signal(signum)
    process.stdout.read()
    return process.wait(timeout=200)


def test_sigkill_and_sigterm_of_a_real_process(unbroken, tmp_path):
    """A process killed by SIGKILL, the next stopped by SIGTERM, the third finishes: the bits and the log of an unbroken run."""
    assert end_after(launch(tmp_path, 0.05), 8, signal.SIGKILL) == -signal.SIGKILL
    assert end_after(launch(tmp_path, 0.05), 5, signal.SIGTERM) == EXIT_INTERRUPTED
    finished, _ = launch(tmp_path, 0.0).communicate(timeout=200)
    assert finished.splitlines()[-1] == unbroken
    assert finished.count("step") < N_STEPS
    rows = []
    full_run(log=lambda step, **values: rows.append({"step": step, **values}))
    assert without_times(read_jsonl(tmp_path / "log.jsonl")) == without_times(rows)
