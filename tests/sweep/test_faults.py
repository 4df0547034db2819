"""A run that needs too much memory, and one that spoils its process: each costs itself and nobody else. The GPUs are names only."""

import gc
import weakref

import pytest
import torch

from src.sweep import Control, Run, RunFolder
from src.sweep.control import Progress
from src.sweep.faults import is_context_lost, out_of_memory
from src.sweep.job import Job, JobEnded, Note, Outcome, Settings, run_job
from src.sweep.sweep import make_jobs
from tests.sweep.sweep_process import results
from tests.sweep.toy_sweep import toy_runs, toy_sweep

ASSERTION = RuntimeError("CUDA error: device-side assert triggered")
TOO_LARGE = torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")


def test_neither_costs_more_than_its_run(tmp_path, capfd, unbroken):
    runs = toy_runs()
    (tmp_path / "gpu_memory-1-12").touch()
    (tmp_path / "context-3-7").touch()
    outcome = toy_sweep(tmp_path, runs, devices=["cuda:0"])
    assert outcome.done == [runs[0], runs[2], runs[4], runs[5]]
    messages = dict(outcome.failed)
    assert messages[runs[1]] == "OutOfMemory: ran out of GPU memory on cuda:0; lower the batch size"
    assert messages[runs[3]] == f"RuntimeError: {ASSERTION}"
    assert "Tried to allocate 2.00 GiB" in (RunFolder(tmp_path, runs[1]).path / "traceback.txt").read_text()
    assert capfd.readouterr().err.count("cuda:0: its CUDA context is lost, its worker is replaced") == 1

    assert toy_sweep(tmp_path, runs, retry_failed=True).done == [runs[1], runs[3]]
    assert results(tmp_path) == unbroken


class Crowd:
    """A work function for which only so many runs fit on the card; what it did is in the folders and in `calls`."""

    def __init__(self, fits: int, spoils: tuple[int, ...] = ()) -> None:
        self._fits, self._spoils, self.calls = fits, spoils, []

    def __call__(self, folders: list[RunFolder], control: Control) -> None:
        seeds = [folder.config["seed"] for folder in folders]
        self.calls.append(seeds)
        for folder in folders:
            step = (folder.load_state() or {"step": 0})["step"]
            control.resumed(step)
            folder.log.log(step + 1)
            folder.save_state({"step": step + 1})
            folder.log.log(step + 2)  # the next attempt does this step again
            control.advance(2)
        if len(folders) > self._fits:
            raise TOO_LARGE
        if set(seeds) & set(self._spoils):
            raise ASSERTION
        for folder in folders:
            folder.finish({})


def do(work: Crowd, out, runs: list[Run]) -> tuple[JobEnded, list, dict[str, str]]:
    """The end of the job, all messages, and the state of each run as it was sent."""
    sent = []
    ended = run_job(work, Job(0, tuple(runs)), Settings("", out, {}), Control("cuda:0", sent.append), sent.append)
    return ended, sent, {message.key: message.state for message in sent if isinstance(message, Outcome)}


def test_a_batch_that_is_too_large_goes_on_in_halves(tmp_path):
    runs, work = toy_runs(7), Crowd(fits=2)
    ended, sent, states = do(work, tmp_path, runs)
    assert work.calls == [[*range(7)], [0, 1, 2, 3], [0, 1], [2, 3], [4, 5, 6], [4, 5], [6]]
    assert states == {run.key: "done" for run in runs}
    assert not ended.last
    notes = [message.text for message in sent if isinstance(message, Note)]
    assert notes[0] == "7 runs together do not fit in the memory of cuda:0, trying 4"
    assert len(notes) == 3
    for run in runs:  # each of three attempts went on from the state of the one before, and the log has each step once
        assert [row["step"] for row in RunFolder(tmp_path, run).metrics()] == [1, 2, 3, 4]
    progress = [message for message in sent if isinstance(message, Progress)]
    assert sum(p.resumed for p in progress) == 7 * 2  # only the last attempt of each run counts
    assert sum(p.steps for p in progress) == 7 * 2


def test_down_to_one_run_and_then_it_fails(tmp_path):
    runs, work = toy_runs(3), Crowd(fits=0)
    _, _, states = do(work, tmp_path, runs)
    assert work.calls == [[0, 1, 2], [0, 1], [0], [1], [2]]
    assert states == {run.key: "failed" for run in runs}
    assert {RunFolder(tmp_path, run).status().message for run in runs} == {
        "OutOfMemory: ran out of GPU memory on cuda:0; lower the batch size"
    }


def test_runs_of_a_batch_that_were_to_come_when_the_context_was_lost_are_left(tmp_path):
    runs, work = toy_runs(4), Crowd(fits=2, spoils=(1,))
    ended, _, states = do(work, tmp_path, runs)
    assert work.calls == [[0, 1, 2, 3], [0, 1]]
    assert [states[run.key] for run in runs] == ["failed", "failed", "interrupted", "interrupted"]
    assert ended.last


def test_what_a_failed_run_held_is_given_back(tmp_path):
    held = []

    def greedy(folders: list[RunFolder], control: Control) -> None:
        tensor = torch.zeros(10)
        tensor.grad_fn_like = [tensor]  # a cycle through the tensor's own attributes
        held.append(weakref.ref(tensor))
        raise TOO_LARGE

    gc.disable()
    try:
        sent = []
        run_job(greedy, Job(0, tuple(toy_runs(1))), Settings("", tmp_path, {}), Control("cuda:0"), sent.append)
        assert [ref() for ref in held] == [None]
    finally:
        gc.enable()
    assert [type(message) for message in sent] == [Outcome]


@pytest.mark.parametrize(
    ("error", "where"),
    [
        (TOO_LARGE, "GPU memory on cuda:1"),
        (torch.AcceleratorError("CUDA error: out of memory"), "GPU memory on cuda:1"),
        (RuntimeError("Triton Error [CUDA]: out of memory"), "GPU memory on cuda:1"),
        (
            RuntimeError("cuBLAS error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
            "GPU memory on cuda:1",
        ),
        (MemoryError(), "memory"),
        (
            RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes."),
            "memory",
        ),
    ],
)
def test_errors_that_are_a_lack_of_memory(error, where):
    failure = out_of_memory(error, Control("cuda:1", sharing=3))
    assert str(failure) == f"ran out of {where} with 3 runs a GPU; lower --runs_per_gpu or the batch size"
    assert failure.__cause__ is error
    assert not is_context_lost(error, "cuda:1")


def test_the_cpu_has_its_own_advice():
    failure = out_of_memory(MemoryError(), Control("cpu", sharing=4))
    assert str(failure) == "ran out of memory with 4 runs at a time; lower --num_cpus or the batch size"


def test_the_real_allocator_of_the_cpu_is_recognised():
    with pytest.raises(RuntimeError) as raised:
        torch.empty(2**60, dtype=torch.uint8)
    assert out_of_memory(raised.value, Control()) is not None


def test_a_lack_of_memory_is_found_behind_the_error_that_it_caused():
    def capture() -> None:
        try:
            raise TOO_LARGE
        finally:
            raise RuntimeError("CUDA error: operation failed due to a previous error during capture")

    with pytest.raises(RuntimeError) as raised:
        capture()
    assert out_of_memory(raised.value, Control("cuda:0")) is not None


@pytest.mark.parametrize(
    ("error", "lost"),
    [
        (ASSERTION, True),
        (torch.AcceleratorError("CUDA error: an illegal memory access was encountered"), True),
        (RuntimeError("Triton Error [CUDA]: an illegal memory access was encountered"), True),
        (ValueError("CUDA error: is what a config's value was called"), False),
        (RuntimeError("shapes cannot be multiplied"), False),
        (FloatingPointError("the loss is nan"), False),
    ],
)
def test_errors_that_spoil_the_process(error, lost):
    assert is_context_lost(error, "cuda:0") is lost
    assert is_context_lost(error, "cpu") is False
    assert out_of_memory(error, Control("cuda:0")) is None


def test_a_context_is_asked_whether_it_still_answers(monkeypatch):
    def broken() -> None:
        raise ASSERTION

    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: None)
    assert not is_context_lost(ValueError("harmless"), "cuda:0")
    monkeypatch.setattr(torch.cuda, "synchronize", broken)
    assert is_context_lost(ValueError("harmless"), "cuda:0")
    assert not is_context_lost(ValueError("harmless"), "cpu")


@pytest.mark.parametrize(
    ("sizes", "workers", "expected"),
    [
        ([4, 2], 1, [4, 2]),
        ([4, 2], 2, [4, 2]),
        ([4, 2], 3, [2, 2, 2]),
        ([5], 2, [3, 2]),
        ([5], 8, [1] * 5),
        ([1], 4, [1]),
    ],
)
def test_groups_are_parted_until_every_worker_has_a_job(sizes, workers, expected):
    runs = [Run("toy", {"group": group, "seed": seed}) for group, size in enumerate(sizes) for seed in range(size)]
    jobs = make_jobs(runs, lambda run: run.config["group"], workers)
    assert [len(job.runs) for job in jobs] == expected
    assert [run for job in jobs for run in job.runs] == runs
    assert [job.index for job in jobs] == list(range(len(jobs)))
    assert [len(job.runs) for job in make_jobs(runs, None, workers)] == [1] * len(runs)
