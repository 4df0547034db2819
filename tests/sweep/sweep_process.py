"""The toy sweep in a process of its own, and what tests do to it: wait for it, signal it, look for what it left alive."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 120.0  # seconds; a wait that ends well takes about one, and ten with Ray


@contextmanager
def sweep_process(out: Path, *options: str) -> Iterator[subprocess.Popen[str]]:
    """Starts the toy sweep; whatever of it still lives at the end is killed."""
    out.mkdir(exist_ok=True)
    command = [sys.executable, "-m", "tests.sweep.toy_sweep", str(out), *options]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        yield process
    finally:
        for pid in [process.pid, *children(process.pid)]:
            if is_alive(pid):
                os.kill(pid, 9)
        process.wait()
        process.stdout.close()


def wait_for(condition: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, f"waited in vain for {what}"
        time.sleep(0.02)


def wait_for_gate(out: Path, seed: int, step: int) -> None:
    wait_for((out / f"at-gate-{seed}-{step}").exists, f"seed {seed} to reach step {step}")


def children(pid: int) -> list[int]:
    """The direct children of a process."""
    try:
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def results(out: Path) -> dict[str, bytes]:
    """The files that a run's numbers are in, by path below `out`."""
    names = ("result.json", "metrics.jsonl", "config.yaml")
    files = {str(path.relative_to(out)): path.read_bytes() for name in names for path in out.glob(f"*/*/{name}")}
    assert files
    return files
