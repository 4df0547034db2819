"""Two processes over gloo do what one does with batches of twice the size."""

import os
import subprocess
import sys

import pytest
import torch

from src.engine import FileStore
from src.errors import UserError
from tests.engine.ddp_small import train
from tests.engine.small import without_times


def torchrun(folder, mode: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    return subprocess.run(
        [*command, "-m", "tests.engine.ddp_small", str(folder), mode],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=250,
    )


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    folder = tmp_path_factory.mktemp("two")
    run = torchrun(folder, "train")
    assert run.returncode == 0, run.stderr
    return folder, torch.load(folder / "end.pt", weights_only=True)


def test_same_losses_weights_and_tests_as_one_process_with_the_doubled_batch(two):
    _, end = two
    rows = []
    state, result = train(16, log=lambda step, **row: rows.append(row))
    assert len(rows) == len(end["rows"]) == 7  # one log, from process 0
    for got, expected in zip(without_times(end["rows"]), without_times(rows), strict=True):
        assert got == pytest.approx(expected, rel=1e-10)
    assert end["final"] == pytest.approx(result.final, rel=1e-10)
    for name, weights in state.weights().items():
        torch.testing.assert_close(end["weights"][name], weights, rtol=1e-9, atol=1e-12)


def test_state_of_two_processes_is_not_for_one(two):
    folder, _ = two
    with pytest.raises(UserError, match="written by 2 processes and this run has 1"):
        train(16, store=FileStore(folder, "ddp"))


def test_a_signal_to_one_process_stops_both_and_the_run_resumes(two, tmp_path):
    _, end = two
    stopped = torchrun(tmp_path, "stop")
    assert stopped.returncode != 0
    assert "exitcode  : 75" in stopped.stderr
    assert not (tmp_path / "end.pt").exists()
    resumed = torchrun(tmp_path, "resume")
    assert resumed.returncode == 0, resumed.stderr
    again = torch.load(tmp_path / "end.pt", weights_only=True)
    assert again["final"] == end["final"]
    assert all(torch.equal(again["weights"][name], end["weights"][name]) for name in end["weights"])
