"""Arrays on a device give the batches that the host gives, bit for bit, and are copied once however many splits share them."""

import numpy as np
import pytest
import torch

from src.dataloaders import Splits, Subset
from src.dataloaders.placement import Placement
from src.dataloaders.scaled import ScaledSequences, Scaling, bit_reversal
from src.dataloaders.tokens import TokenSequences
from src.engine.staging import Staged
from src.errors import UserError
from src.experiments.classify import data
from src.experiments.classify.data import PlacedSplits, SplitBatches, place

CPU = torch.device("cpu")
N, SIDE = 40, 8
GREY, COLOUR = Scaling((0.4808,), (0.2392,)), Scaling((0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010))
SOUND = Scaling((-3.1e-5,), (0.1812,), top=32_768.0)


def numbers(channels: int, dtype: torch.dtype = torch.uint8) -> torch.Tensor:
    generator, info = torch.Generator().manual_seed(0), torch.iinfo(dtype)
    return torch.randint(info.min, info.max + 1, (N, SIDE * SIDE, channels), generator=generator).to(dtype)


def texts(folder, documents: int) -> TokenSequences:
    rng = np.random.default_rng(0)
    offsets = np.concatenate([[0], np.cumsum(rng.integers(1, 30, N * documents))])
    np.save(folder / "train_tokens.npy", rng.integers(3, 18, offsets[-1]).astype(np.uint8))
    np.save(folder / "train_offsets.npy", offsets)
    np.save(folder / "train_labels.npy", rng.integers(10, size=N))
    return TokenSequences(folder, "train", documents)


LABELS = torch.arange(N) % 10
CASES = {
    "grey": lambda folder: ScaledSequences(numbers(1), LABELS, GREY),
    "colour": lambda folder: ScaledSequences(numbers(3), LABELS, COLOUR),
    "augmented": lambda folder: ScaledSequences(numbers(3), LABELS, COLOUR).augmented(),
    "permuted": lambda folder: ScaledSequences(numbers(1), LABELS, GREY, bit_reversal(SIDE * SIDE)),
    "pixels as tokens": lambda folder: ScaledSequences(numbers(1), LABELS, None),
    "sound": lambda folder: ScaledSequences(numbers(1, torch.int16), LABELS, SOUND),
    "text": lambda folder: texts(folder, 1),
    "pairs": lambda folder: texts(folder, 2),
}


def batches(dataset) -> list:
    return list(SplitBatches(dataset, 7, seed=5, drop_last=False).iterate(epoch=1))


@pytest.mark.parametrize("part", [None, 13])
@pytest.mark.parametrize("name", list(CASES))
def test_the_same_batches_bit_for_bit(name, part, tmp_path):
    dataset = CASES[name](tmp_path)
    dataset = dataset if part is None else Subset(dataset, torch.randperm(N)[:part])
    placed = dataset.placed(Placement(CPU))
    for got, expected in zip(batches(placed), batches(dataset), strict=True):
        for a, b in zip(got, expected, strict=True):
            assert (a is None and b is None) or (a.dtype == b.dtype and torch.equal(a, b))


@pytest.mark.parametrize("name", list(CASES))
def test_batches_are_gathered_where_the_arrays_are(name, tmp_path):
    """On a device without values: nothing of an array is read on the host."""
    dataset = CASES[name](tmp_path)
    for got, expected in zip(batches(dataset.placed(Placement(torch.device("meta")))), batches(dataset), strict=True):
        for a, b in zip(got, expected, strict=True):
            assert (a is None and b is None) or (a.is_meta and a.shape == b.shape and a.dtype == b.dtype)


@pytest.mark.parametrize("scaling", [GREY, SOUND])
def test_the_table_holds_every_stored_number(scaling):
    dtype = torch.uint8 if scaling is GREY else torch.int16
    every = torch.arange(torch.iinfo(dtype).min, torch.iinfo(dtype).max + 1).to(dtype).reshape(1, -1, 1)
    dataset = ScaledSequences(every, LABELS[:1], scaling)
    assert torch.equal(dataset.placed(Placement(CPU)).batch(torch.tensor([0])).x, dataset.batch(torch.tensor([0])).x)


def test_wide_numbers_have_no_table():
    with pytest.raises(ValueError, match="8 or 16 bits"):
        ScaledSequences(numbers(1).int(), LABELS, GREY).placed(Placement(CPU))


def splits_of(dataset) -> Splits:
    train, val, test = (Subset(dataset, torch.arange(i, N, 3)) for i in range(3))
    return Splits(train, val, test, n_classes=10, l_max=SIDE * SIDE, d_input=1)


def test_shared_arrays_are_copied_once():
    images = ScaledSequences(numbers(1), LABELS, GREY)
    splits = splits_of(images)
    table = 256 * 4
    assert splits.n_bytes == images.values.nbytes + LABELS.nbytes + 3 * table
    placed = splits.placed(Placement(torch.device("meta")))
    assert placed.train.dataset.values is placed.test.dataset.values


@pytest.mark.parametrize(
    ("stage", "free", "expected"),
    [("auto", 100, True), ("auto", 99, False), ("device", 25, True), ("host", 10**9, False)],
)
def test_where_data_lie(monkeypatch, stage, free, expected):
    """In units of a 25th of the data: they may take a quarter of what is free."""
    splits = splits_of(ScaledSequences(numbers(1), LABELS, GREY))
    unit = splits.n_bytes / 25
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (int(free * unit), 0))
    monkeypatch.setattr(data, "Placement", lambda device: Placement(torch.device("meta")))
    placed = place(splits, torch.device("cuda"), stage)
    assert placed.on_device is expected
    assert placed.splits.train.batch(torch.arange(2)).x.is_meta is expected
    assert isinstance(placed.batches(placed.splits.train, 2), Staged) is not expected
    assert place(splits, CPU, stage) == PlacedSplits(splits, CPU)


def test_no_room_for_data_that_must_be_there_is_one_line(monkeypatch):
    splits = splits_of(ScaledSequences(numbers(1), LABELS, GREY))
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (splits.n_bytes - 1, 0))
    with pytest.raises(UserError, match=r"loader.stage=device: the data take .* use auto or host"):
        place(splits, torch.device("cuda"), "device")


@pytest.mark.gpu
@pytest.mark.parametrize("name", list(CASES))
def test_a_gpu_gathers_the_hosts_bits(name, tmp_path):
    dataset = CASES[name](tmp_path)
    for got, expected in zip(batches(dataset.placed(Placement(torch.device("cuda")))), batches(dataset), strict=True):
        for a, b in zip(got, expected, strict=True):
            assert (a is None and b is None) or (a.is_cuda and torch.equal(a.cpu(), b))
