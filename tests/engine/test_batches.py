"""Order, shards and skipping: the same samples whatever the start, each sample once, no draw from the global generator."""

import numpy as np
import pytest
import torch

from src.engine import TensorBatches, distributed
from src.engine.batches import evaluation_order, samples_in, to_device, training_order
from tests.engine.ports import DatasetBatches

N = 103


class Squares(torch.utils.data.Dataset):
    def __len__(self):
        return N

    def __getitem__(self, i):
        return i, i * i


def as_processes(monkeypatch, world: int, order) -> list[list[np.ndarray]]:
    """What `order` returns in each of `world` processes."""
    parts = []
    monkeypatch.setattr(distributed, "world_size", lambda: world)
    for rank in range(world):
        monkeypatch.setattr(distributed, "rank", lambda rank=rank: rank)
        parts.append(order())
    return parts


@pytest.mark.parametrize("make", [TensorBatches, DatasetBatches])
@pytest.mark.parametrize("seed", [5, None])
def test_the_rest_of_an_epoch_is_the_end_of_the_whole(make, seed):
    source = TensorBatches if make is TensorBatches else DatasetBatches
    data = (torch.arange(N), torch.arange(N) ** 2) if make is TensorBatches else Squares()
    batches = source(data, 10, seed=seed)
    whole = [[x.tolist() for x in batch] for batch in batches.iterate(epoch=3)]
    assert len(whole) == len(batches)
    rest = [[x.tolist() for x in batch] for batch in batches.iterate(epoch=3, start=4)]
    assert rest == whole[4:]
    assert all(y == [i * i for i in x] for x, y in whole)


def test_worker_processes_keep_the_order_and_draw_nothing():
    alone, helped = DatasetBatches(Squares(), 10, seed=1), DatasetBatches(Squares(), 10, seed=1, workers=2)
    state = torch.get_rng_state()
    for epoch in (0, 1):
        for a, b in zip(alone.iterate(epoch, 2), helped.iterate(epoch, 2), strict=True):
            assert torch.equal(a[0], b[0])
    assert torch.equal(torch.get_rng_state(), state)


def test_epochs_and_seeds_differ_and_each_sample_comes_once():
    orders = [np.concatenate(training_order(100, 10, seed, epoch)) for seed, epoch in ((0, 0), (0, 1), (1, 0))]
    for order in orders:
        assert sorted(order) == list(range(100))
    assert not np.array_equal(orders[0], orders[1])
    assert not np.array_equal(orders[0], orders[2])


@pytest.mark.parametrize("drop_last", [True, False])
@pytest.mark.parametrize("world", [2, 3])
def test_processes_share_the_steps_of_one_process_with_larger_batches(monkeypatch, world, drop_last):
    one = training_order(N, 5 * world, seed=2, epoch=1, drop_last=drop_last)
    parts = as_processes(monkeypatch, world, lambda: training_order(N, 5, 2, 1, drop_last))
    joined = [np.concatenate(batches) for batches in zip(*parts, strict=True)]
    assert [batch.tolist() for batch in joined] == [batch.tolist() for batch in one][: len(joined)]
    assert len(one) - len(joined) <= (not drop_last)
    assert all(len(batch) > 0 for part in parts for batch in part)


@pytest.mark.parametrize("world", [1, 2, 3, 7])
def test_evaluation_sees_each_sample_in_one_process_once(monkeypatch, world):
    parts = as_processes(monkeypatch, world, lambda: evaluation_order(N, 20))
    seen = [i for part in parts for batch in part for i in batch]
    assert sorted(seen) == list(range(N))


def test_bad_sizes_are_errors():
    with pytest.raises(ValueError, match="positive batch size"):
        TensorBatches((torch.ones(3),), 0)
    with pytest.raises(ValueError, match="expected samples"):
        TensorBatches((torch.ones(0),), 2)


def test_nested_batches_move_and_are_counted():
    batch = {"n": 3, "inputs": [torch.ones(4, 2), (torch.ones(4),)]}
    moved = to_device(batch, torch.device("meta"))
    assert moved["inputs"][0].is_meta
    assert moved["inputs"][1][0].is_meta
    assert moved["n"] == 3
    assert samples_in(batch) == samples_in(moved) == 4
