"""Runs that are killed, hung up or lose whoever reads them: the same command continues, and the results are equal bit for bit."""

import contextlib
import json
import os
import pty
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 300.0
TIMES = ("second", "backend", "device")
TRAIN = ["train.py", "experiment=smoke/digits", "trainer.max_epochs=3", "wandb=null", "out={out}"]
COMMON = ["--seeds", "1", "--num_cpus", "1", "--wandb", "disabled", "--device", "cpu", "--out", "{out}"]
SMALL = ["--dataset", "digits", "--epochs", "3", "--d_model", "8", "--n_layers", "1", "--batch_size", "50", *COMMON]
SELECTIVITY = [
    "dataset.lag=3",
    "dataset.extra=3",
    "dataset.epoch_size=64",
    "train.max_steps=200",
    "model.d_model=8",
    "test_size=40",
]
THEORY = ["N=16", "L=16", "task_name=delay", "opt=adam", "lr=0.001"]
SCRIPTS = {
    "train": TRAIN,
    "ablation": ["ablation.py", *SMALL, "--n", "4", "--size", "0.1", "--set", "train_size=400", "perturbations=[]"],
    "robustness": [
        "robustness.py",
        *SMALL,
        "--models",
        "s4d",
        "--set",
        "train_size=400",
        "probe_size=40",
        "frequency_count=3",
    ],
    "selectivity": ["train_selectivity.py", "--config", "delay.yaml", *COMMON, "--overrides", *SELECTIVITY],
    "theory": ["train_theory.py", "--experiment", "complex", "--num_epochs", "60000", *COMMON, "--set", *THEORY],
}


def start(words: list[str], out: Path, **streams) -> subprocess.Popen[bytes]:
    command = [sys.executable, *(word.format(out=out) for word in words)]
    variables = {**os.environ, "OMP_NUM_THREADS": "1", "WANDB_MODE": "disabled"}
    streams = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL} | streams
    return subprocess.Popen(command, cwd=ROOT, env=variables, start_new_session=True, **streams)


def finished(words: list[str], out: Path) -> int:
    return start(words, out).wait(PATIENCE)


def results(out: Path) -> dict[str, object]:
    """Every result below a folder but for its times, and every row of the logs, by run."""
    found = {}
    for path in sorted(out.rglob("result.json")):
        rows = [json.loads(line) for line in (path.parent / "metrics.jsonl").read_text().splitlines()]
        found[path.parent.name] = [_plain(json.loads(path.read_text())["result"]), _plain(rows)]
    assert found
    return found


def _plain(value: object) -> object:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items() if not any(word in key for word in TIMES)}
    return [_plain(item) for item in value] if isinstance(value, list) else value


def wait_for_work(out: Path, process: subprocess.Popen[bytes], before: int = 0) -> None:
    """Waits until runs have logged more than the `before` bytes that were there."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end and process.poll() is None:
        if sum(path.stat().st_size for path in out.rglob("metrics.jsonl")) > before:
            return
        time.sleep(0.01)


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    """The results of a script that nobody disturbed."""
    known = {}

    def results_of(name: str) -> dict[str, object]:
        if name not in known:
            out = tmp_path_factory.mktemp(name)
            assert finished(SCRIPTS[name], out) == 0
            known[name] = results(out)
        return known[name]

    return results_of


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_that_is_killed_hung_up_and_no_longer_read_ends_as_if_nothing_had_been(name, tmp_path, unbroken):
    """Each at a random time of its work, one after the other in the same folder: a process costs seconds to start."""
    draw = random.Random(name)
    kill(name, tmp_path, draw.uniform(0.0, 0.3))
    hang_up(name, tmp_path, draw.uniform(0.0, 0.1))
    stop_reading(name, tmp_path)
    assert results(tmp_path) == unbroken(name)


@pytest.mark.slow  # the same once more with more kills, and with SIGTERM
@pytest.mark.parametrize("name", SCRIPTS)
def test_many_kills(name, tmp_path, unbroken):
    draw = random.Random(f"{name}, many")
    for _ in range(2):
        kill(name, tmp_path, draw.uniform(0.0, 0.5))
    kill(name, tmp_path, draw.uniform(0.0, 0.5), signal.SIGTERM)
    assert finished(SCRIPTS[name], tmp_path) == 0
    assert results(tmp_path) == unbroken(name)


def kill(name: str, out: Path, after: float, signum: int = signal.SIGKILL) -> None:
    """Kills a script and its workers so many seconds after its first row of its own, or when it has ended."""
    rows = sum(path.stat().st_size for path in out.rglob("metrics.jsonl"))
    process = start(SCRIPTS[name], out)
    wait_for_work(out, process, rows)
    time.sleep(after)
    with contextlib.suppress(ProcessLookupError):  # it has ended
        os.killpg(process.pid, signum)
    code = process.wait(PATIENCE)
    assert code in ((-signal.SIGKILL, 0) if signum == signal.SIGKILL else (75, 0))  # 0: it was faster
    time.sleep(0.2)


def hang_up(name: str, out: Path, after: float) -> None:
    """Kernel and shell both send SIGHUP, and what is printed from then on has nowhere to go: the state is saved."""
    master, slave = pty.openpty()
    process = start(SCRIPTS[name], out, stdout=slave, stderr=slave)
    os.close(slave)
    rows = sum(path.stat().st_size for path in out.rglob("metrics.jsonl"))
    wait_for_work(out, process, rows)
    time.sleep(after)
    os.close(master)
    for _ in range(2):
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGHUP)
    assert process.wait(PATIENCE) in (75, 0)


def stop_reading(name: str, out: Path) -> None:
    """Whoever reads the output leaves after its first line (`| head -1`)."""
    process = start(SCRIPTS[name], out, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    process.stdout.readline()
    process.stdout.close()
    assert process.wait(PATIENCE) == 0


def test_a_model_that_does_not_fit_is_a_failed_run(tmp_path, monkeypatch, capsys):
    from src.experiments import train

    def too_large(config, shape):
        raise RuntimeError(
            "[enforce fail at alloc_cpu.cpp:124] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"
        )

    monkeypatch.setattr("src.experiments.classify.run.build_model", too_large)
    assert train.main(["experiment=smoke/digits", "wandb=null", f"out={tmp_path}"]) == 1
    assert "failed: OutOfMemory: ran out of memory; lower the batch size" in capsys.readouterr().out
    [status] = tmp_path.rglob("status.json")
    assert json.loads(status.read_text())["state"] == "failed"
    assert "DefaultCPUAllocator" in (status.parent / "traceback.txt").read_text()
