"""Two processes, over gloo or nccl, do what one does with batches of twice the size; what ends one of them ends both."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import torch.distributed as dist

from src.engine import distributed
from src.errors import UserError
from tests.engine.ddp_small import train
from tests.engine.ports import FileStore
from tests.engine.small import without_times

ROOT = Path(__file__).parents[2]


def torchrun(folder, *words: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    return subprocess.run(
        [*command, "-m", "tests.engine.ddp_small", str(folder), *words],
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


def test_one_that_fails_ends_the_other(tmp_path):
    started = time.monotonic()
    failed = torchrun(tmp_path, "fail")
    assert failed.returncode != 0
    assert "ValueError: process 0 fails alone" in failed.stderr
    assert time.monotonic() - started < 60  # not the minutes after which a collective gives up
    assert not (tmp_path / "end.pt").exists()


# what torchrun tells the first of two processes
TORCHRUN = {"WORLD_SIZE": "2", "RANK": "0", "LOCAL_RANK": "0", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29511"}


def test_a_gpu_is_bound_before_the_processes_meet(monkeypatch):
    """Plain values go over gloo, so that asking whether to stop waits for no GPU."""
    calls = []
    for name, value in TORCHRUN.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(dist, "init_process_group", lambda *words, **options: calls.append((words, options)))
    monkeypatch.setattr(dist, "barrier", lambda: calls.append("barrier"))
    monkeypatch.setattr(dist, "destroy_process_group", lambda: calls.append("destroy"))
    with distributed.process_group(torch.device("cuda", 1)):
        calls.append("work")
    joined = (("cpu:gloo,cuda:nccl",), {"device_id": torch.device("cuda", 1)})
    assert calls == [joined, "work", "barrier", "destroy"]


@pytest.mark.parametrize(
    ("failure", "code", "said"),
    [
        ("ValueError('it broke')", 1, "ValueError: it broke"),
        ("UserError('a wrong key')", 2, "error: a wrong key\n"),
        ("SystemExit(1)", 1, ""),
    ],
)
def test_a_process_on_a_gpu_that_fails_waits_for_nobody(failure, code, said):
    """Taking nccl down would: here it sleeps for longer than the test has."""
    program = (
        "import time, torch, torch.distributed as dist\n"
        "from src.engine.distributed import process_group\n"
        "from src.errors import UserError\n"
        "dist.init_process_group = lambda *words, **options: None\n"
        "dist.barrier = dist.destroy_process_group = lambda: time.sleep(600)\n"
        "with process_group(torch.device('cuda', 0)):\n"
        "    print('begun')\n"
        f"    raise {failure}\n"
    )
    environment = os.environ | TORCHRUN
    ended = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120
    )
    assert (ended.returncode, ended.stdout) == (code, "begun\n")
    assert said in ended.stderr


@pytest.mark.gpu
@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two GPUs")
def test_two_gpus_do_what_one_does_with_the_doubled_batch(tmp_path):
    run = torchrun(tmp_path, "train", "cuda")
    assert run.returncode == 0, run.stderr
    end = torch.load(tmp_path / "end.pt", weights_only=True, map_location="cpu")
    state, result = train(16, torch.device("cuda", 0))
    assert end["final"] == pytest.approx(result.final, rel=1e-8)
    for name, weights in state.weights().items():
        torch.testing.assert_close(end["weights"][name], weights.cpu(), rtol=1e-8, atol=1e-11)


@pytest.mark.gpu
@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two GPUs")
@pytest.mark.parametrize(("mode", "said"), [("stop", "exitcode  : 75"), ("fail", "ValueError: process 0 fails alone")])
def test_two_gpus_end_together(tmp_path, mode, said):
    run = torchrun(tmp_path, mode, "cuda")
    assert run.returncode != 0
    assert said in run.stderr
