"""Sequential MNIST (LeCun et al. 1998): 28 x 28 grey images read pixel after pixel, L = 784, 10 classes."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from ..errors import UserError
from .base import Splits, check_fraction, split_train
from .idx import find_idx, read_bytes, read_idx
from .root import find_folder
from .scaled import ScaledSequences, Scaling, bit_reversal

NAME = "mnist"
FOLDERS = (NAME, "MNIST/raw", f"{NAME}/MNIST/raw")
PARTS = {"train": 60_000, "t10k": 10_000}
STEMS = tuple(f"{part}-{kind}-ubyte" for part in PARTS for kind in ("images-idx3", "labels-idx1"))
# of the files without gzip
MD5 = dict(
    zip(
        STEMS,
        (
            "6bbc9ace898e44ae57da46a324031adb",
            "a25bea736e30d166cdddb491f175f624",
            "2646ac647ad5339dbf082846283269ea",
            "27ae3e4e09519cfbb04c329615203637",
        ),
        strict=True,
    )
)
UNIT = Scaling((0.0,), (1.0,))  # the published pipeline leaves pixels in [0, 1]


@dataclass(frozen=True)
class Options:
    """permute: pixels in bit-reversed order (permuted sequential MNIST)."""

    data_dir: str | None = None
    permute: bool = False
    val_split: float = 0.1
    seed: int = 42

    def __post_init__(self):
        check_fraction(val_split=self.val_split)


def load(options: Options) -> Splits:
    """Returns 54,000 / 6,000 / 10,000 images with the default options."""
    return load_from(find(options), options, NAME)


def find(options: Options) -> Path:
    """Returns the folder of the four files."""
    return find_folder(NAME, options.data_dir, FOLDERS, probes())


def probes() -> tuple[str, ...]:
    """File names that show a folder of this layout."""
    return (STEMS[0], f"{STEMS[0]}.gz")


def check(options: Options) -> str:
    """Returns what was found. Raises UserError unless there are 60,000 + 10,000 images with the published checksums."""
    return check_files(find(options), NAME, MD5)


def check_files(folder: Path, name: str, md5: Mapping[str, str]) -> str:
    """Compares the unpacked bytes of the four files in `folder` with their checksums."""
    for part, n in PARTS.items():
        if len(read(folder, part, name)[1]) != n:
            raise UserError(f"{name}: {folder} does not hold {n:,} images of {part}; prepare the set again")
    for stem, expected in md5.items():
        if hashlib.md5(read_bytes(find_idx(folder, stem))).hexdigest() != expected:
            raise UserError(f"{name}: {folder / stem} differs from the published file; prepare the set again")
    return "60,000 + 10,000 images, checksums as published"


def load_from(folder: Path, options: Options, name: str) -> Splits:
    """Reads a set in MNIST's layout."""
    order = bit_reversal(28 * 28) if options.permute else None
    known, test = (ScaledSequences(*read(folder, part, name), UNIT, order) for part in PARTS)
    train, val = split_train(known, options.val_split, options.seed)
    note = f"validation: {len(val):,} of the training images, seed {options.seed}"
    return Splits(train, val, test, n_classes=10, l_max=28 * 28, d_input=1, note=note)


def read(folder: Path, part: str, name: str) -> tuple[Tensor, Tensor]:
    """Returns pixels (N, 784, 1) uint8 and labels (N,) int64 of 'train' or 't10k'.

    Raises:
        UserError: a file is missing or broken, or images and labels do not match.
    """
    paths = [find_idx(folder, f"{part}-{kind}-ubyte") for kind in ("images-idx3", "labels-idx1")]
    if None in paths:
        raise UserError(f"{name}: {folder} lacks {part}-*-ubyte files; run `python -m src.dataloaders prepare {name}`")
    images, labels = read_idx(paths[0], 3), read_idx(paths[1], 1)
    if images.shape != (len(labels), 28, 28) or labels.max(initial=0) > 9:
        raise UserError(f"{name}: {paths[0].name} and {paths[1].name} do not match; prepare the set again")
    return torch.from_numpy(images.reshape(-1, 784, 1).copy()), torch.from_numpy(labels.astype("int64"))
