"""Batches on their way to a device: the source's batches in the source's order, wherever an epoch is entered, and no thread left behind."""

import threading
import time

import pytest
import torch

from src.engine import GeneratedBatches, Staged, TensorBatches
from src.engine import staging as module
from src.engine.staging import ahead, stacked, unstacked
from src.tasks.tokens import Copy, InductionHead, TokenBatch
from tests.engine.small import CPU, data


@pytest.fixture
def elsewhere(monkeypatch):
    """A device that takes the way of a GPU but keeps its values: copies and pinned memory are the host's."""
    monkeypatch.setattr(module, "pinned", lambda batch: batch)
    monkeypatch.setattr(module, "to_device", lambda batch, device: batch)
    return torch.device("cuda")


def tokens(task) -> GeneratedBatches:
    return GeneratedBatches(lambda seed, number: task.batch(seed, number, 4), 10, seed=3)


def same(got, expected) -> None:
    got, expected = list(got), list(expected)
    assert len(got) == len(expected)
    for a, b in zip(got, expected, strict=True):
        assert type(a) is type(b)
        assert all(torch.equal(x, y) and x.dtype == y.dtype for x, y in zip(a, b, strict=True))


@pytest.mark.parametrize("task", [Copy(delay=3, extra=3), InductionHead(h=3)])
@pytest.mark.parametrize("together", [1, 4, 64])
@pytest.mark.parametrize("start", [0, 1, 7])
def test_generated_tokens_are_the_same_wherever_an_epoch_is_entered(elsewhere, task, together, start):
    source = tokens(task)
    staged = Staged(source, elsewhere, together)
    assert len(staged) == len(source)
    same(staged.iterate(2, start), source.iterate(2, start))


def test_batches_of_unequal_size_go_one_by_one(elsewhere):
    source = TensorBatches(data(20), 8, seed=1, drop_last=False)
    same(Staged(source, elsewhere).iterate(1), source.iterate(1))


def test_on_a_cpu_it_is_the_source():
    made = object()
    source = type("Source", (), {"iterate": lambda self, epoch, start: made})()
    assert Staged(source, CPU, 64).iterate() is made


def test_stacks_keep_structure_and_what_is_no_tensor():
    batches = [{"x": (torch.full((2,), float(i)), None), "n": 3} for i in range(5)]
    stacks = list(stacked(iter(batches), 2))
    assert [stack["x"][0].shape for stack in stacks] == [(2, 2), (2, 2), (1, 2)]
    back = list(unstacked(iter(stacks)))
    assert [batch["x"][0].tolist() for batch in back] == [[float(i)] * 2 for i in range(5)]
    assert all(batch["x"][1] is None and batch["n"] == 3 for batch in back)


def test_the_next_item_is_made_while_one_is_used_and_no_further():
    made = []
    items = ahead(made.append(i) or i for i in range(10))
    assert next(items) == 0
    deadline = time.monotonic() + 10
    while len(made) < 2 and time.monotonic() < deadline:
        time.sleep(0.001)
    time.sleep(0.02)
    assert made == [0, 1]
    assert list(items) == list(range(1, 10))


def test_an_error_reaches_the_user_and_no_thread_stays():
    def broken():
        yield 0
        raise OSError("the disk is gone")

    items = ahead(broken())
    assert next(items) == 0
    with pytest.raises(OSError, match="disk is gone"):
        next(items)
    left = ahead(iter(range(100)))
    next(left)
    left.close()  # training ends inside an epoch
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("batches")]


@pytest.mark.gpu
@pytest.mark.parametrize("together", [1, 4])
def test_what_arrives_on_a_gpu_is_the_source(together):
    source = tokens(Copy(delay=3, extra=3))
    arrived = list(Staged(source, torch.device("cuda"), together).iterate())
    assert all(batch.inputs.is_cuda for batch in arrived)
    same((TokenBatch(*(x.cpu() for x in batch)) for batch in arrived), source.iterate())
