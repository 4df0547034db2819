"""Property: a damaged file of any format is refused in one line that names it, or gives legal data.

A header that lies about a size takes no memory.
"""

import gzip
import os
import shutil
import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import torch

from src.dataloaders import load
from src.errors import UserError
from tests.dataloaders.small_sets import SETS

FILES = [(small, file) for small in SETS for file in (*small.whole, *small.texts)]
IDS = [f"{small.name}-{Path(file).name}" for small, file in FILES]
HUGE = {  # (what to write, at which byte): sizes that the header of a valid file may declare
    "t10k-images-idx3-ubyte": (struct.pack(">I", 0xFFFFFFFF), 4),
    "t10k-labels-idx1-ubyte": (struct.pack(">I", 0x7FFFFFFF), 4),
    "yes/a_nohash_0.wav": (struct.pack("<I", 0xFFFFFFF0), 40),
    "imgs/0/sample_3.png": (struct.pack(">II", 100_000, 100_000), 16),
}


def contents(splits) -> list[torch.Tensor]:
    """All that a set gives, after checking that it is legal."""
    arrays = []
    for part in (splits.train, splits.val, splits.test):
        batch = part.batch(torch.arange(len(part)))
        assert batch.x.shape[1 if splits.d_input or batch.x.ndim == 2 else 2] <= splits.l_max
        assert (
            torch.isfinite(batch.y).all()
            if splits.n_classes is None
            else ((batch.y >= 0) & (batch.y < splits.n_classes)).all()
        )
        if splits.d_input is None:
            assert ((batch.x >= 0) & (batch.x < len(splits.vocabulary))).all()
        else:
            assert torch.isfinite(batch.x).all()
        arrays += [batch.x, batch.y]
    return arrays


class Damaged:
    """A small set of which one file is damaged again and again."""

    def __init__(self, small, file, root):
        self.small, self.root = small, root
        self.path = small.make(root) / file
        self.good = self.path.read_bytes()
        self.expected = self.load()

    def load(self):
        for cache in self.root.rglob(".cache"):
            shutil.rmtree(cache)
        return contents(load(self.small.name, data_dir=str(self.root), **self.small.options))

    def outcome(self, data: bytes) -> str:
        """Returns 'refused', 'equal' or 'other' (legal data, but not those of before)."""
        self.path.write_bytes(data)
        try:
            found = self.load()
        except UserError as error:
            line = str(error)
            assert "\n" not in line
            assert str(self.root) in line  # a file of the set is named
            assert self.small.name == "file" or "remove" in line or "run `" in line or "restore" in line, line
            return "refused"
        same = len(found) == len(self.expected) and all(map(torch.equal, found, self.expected))
        return "equal" if same else "other"


@pytest.fixture(autouse=True)
def small_cifar(monkeypatch):
    monkeypatch.setattr("src.dataloaders.cifar.PER_FILE", 20)


@pytest.fixture
def damaged(request, tmp_path):
    small, file = request.param
    return Damaged(small, file, tmp_path)


@pytest.mark.parametrize("damaged", FILES, ids=IDS, indirect=True)
def test_cut_flipped_repeated_and_foreign_files(damaged):
    good, rng = damaged.good, np.random.default_rng(7)
    cuts = {0, 1, len(good) // 2, len(good) - 1, *rng.integers(1, len(good), 4).tolist()}
    outcomes = {cut: damaged.outcome(good[:cut]) for cut in cuts}
    is_whole = damaged.path.relative_to(damaged.root / damaged.small.folder).as_posix() in damaged.small.whole
    if is_whole:
        assert "other" not in outcomes.values(), outcomes
    assert outcomes[0] == "refused"
    for place in {*range(0, min(24, len(good)), 3), *rng.integers(0, len(good), 6).tolist()}:
        flipped = bytearray(good)
        flipped[place] ^= 1 << int(rng.integers(8))
        damaged.outcome(bytes(flipped))
    damaged.outcome(good + good)
    damaged.outcome(good[: len(good) // 2] * 3)
    for foreign in (
        b"PK\x03\x04" + bytes(40),
        rng.bytes(300),
        "caf\u00e9\n".encode("utf-16"),
        b"\x80" + good[1:],
        b"[" * 9000,
    ):
        damaged.outcome(foreign)


@pytest.mark.parametrize("damaged", FILES, ids=IDS, indirect=True)
def test_what_is_no_plain_file_is_refused_at_once(damaged):
    damaged.path.unlink()
    damaged.path.mkdir()
    with pytest.raises(UserError):
        damaged.load()
    damaged.path.rmdir()
    os.mkfifo(damaged.path)
    with pytest.raises(UserError):
        damaged.load()


@pytest.mark.parametrize(
    "damaged",
    [pair for pair in FILES if pair[1] in HUGE],
    ids=lambda pair: f"{pair[0].name}-{Path(pair[1]).name}",
    indirect=True,
)
def test_a_huge_header_takes_no_memory(damaged):
    value, at = HUGE[damaged.path.relative_to(damaged.root / damaged.small.folder).as_posix()]
    data = damaged.good[:at] + value + damaged.good[at + len(value) :]
    tracemalloc.start()
    try:
        assert damaged.outcome(data) == "refused"
        assert tracemalloc.get_traced_memory()[1] < 30_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "damaged", [pair for pair in FILES if pair[1].endswith(".gz")], ids=lambda pair: pair[1], indirect=True
)
def test_a_decompression_bomb_is_refused(damaged, monkeypatch):
    monkeypatch.setattr("src.dataloaders.mnist.LIMIT", 1 << 22)
    monkeypatch.setattr("src.dataloaders.idx.LIMIT", 1 << 22)
    bomb = gzip.compress(bytes(1 << 26))
    tracemalloc.start()
    try:
        assert damaged.outcome(bomb) == "refused"
        assert tracemalloc.get_traced_memory()[1] < 30_000_000
    finally:
        tracemalloc.stop()


def test_a_review_and_a_line_have_a_longest_length(tmp_path, monkeypatch):
    small = {small.name: small for small in SETS}
    monkeypatch.setattr("src.dataloaders.imdb.LONGEST", 30)
    monkeypatch.setattr("src.dataloaders.aan.LONGEST", 10)
    monkeypatch.setattr("src.dataloaders.listops.LONGEST", 20)
    for name, words in (
        ("imdb", "more than 30 bytes"),
        ("aan", "more than 10 characters"),
        ("listops", "more than 20 char"),
    ):
        small[name].make(tmp_path / name)
        with pytest.raises(UserError, match=words):
            load(name, data_dir=str(tmp_path / name))


def test_a_torn_cache_says_what_to_remove(tmp_path):
    small = next(small for small in SETS if small.name == "pathfinder")
    small.make(tmp_path)
    load("pathfinder", data_dir=str(tmp_path))
    pixels = next(tmp_path.rglob("pixels.npy"))
    pixels.write_bytes(pixels.read_bytes()[:5000])
    with pytest.raises(UserError, match=r"pixels\.npy: .* remove .*, which is made anew"):
        load("pathfinder", data_dir=str(tmp_path)).train[0]
