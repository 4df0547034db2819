"""Sequential MNIST (LeCun et al. 1998): 28 x 28 grey images read pixel after pixel, L = 784, 10 classes."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor

from ..files import read_bytes
from .base import Splits, split_train
from .idx import LIMIT, find_idx, read_idx
from .layout import Layout
from .options import HoldOut
from .scaled import ScaledSequences, Scaling, bit_reversal

SIDE = 28
PARTS = {"train": 60_000, "t10k": 10_000}
STEMS = tuple(f"{part}-{kind}-ubyte" for part in PARTS for kind in ("images-idx3", "labels-idx1"))
UNIT = Scaling((0.0,), (1.0,))  # the published pipeline leaves pixels in [0, 1]


def idx_layout(name: str, original: str) -> Layout:
    """Returns the layout of a set that is distributed as MNIST is; `original` is its folder in torchvision."""
    return Layout(
        name=name,
        folders=(name, f"{original}/raw", f"{name}/{original}/raw"),
        files=tuple(f"{stem}|{stem}.gz" for stem in STEMS),
        shows=f"{name}/ with {', '.join(STEMS)} (IDX, plain or .gz)",
    )


def by_stem(*values: str) -> dict[str, str]:
    """Returns what belongs to each of the four files."""
    return dict(zip(STEMS, values, strict=True))


@dataclass(frozen=True, kw_only=True)
class Options(HoldOut):
    """permute: pixels in bit-reversed order (permuted sequential MNIST)."""

    layout: ClassVar[Layout] = idx_layout("mnist", "MNIST")
    md5: ClassVar[Mapping[str, str]] = by_stem(  # of the files without gzip
        "6bbc9ace898e44ae57da46a324031adb",
        "a25bea736e30d166cdddb491f175f624",
        "2646ac647ad5339dbf082846283269ea",
        "27ae3e4e09519cfbb04c329615203637",
    )
    permute: bool = False


def load(options: Options) -> Splits:
    """Returns 54,000 / 6,000 / 10,000 images with the default options."""
    folder = options.find()
    order = bit_reversal(SIDE**2) if options.permute else None
    known, test = (ScaledSequences(*read(folder, part, options.layout), UNIT, order) for part in PARTS)
    train, val = split_train(known, options.val_split, options.seed)
    note = f"validation: {len(val):,} of the training images, seed {options.seed}"
    return Splits(train, val, test, n_classes=10, l_max=SIDE**2, d_input=1, note=note)


def check(options: Options) -> str:
    """Returns what was found. Raises UserError unless there are 60,000 + 10,000 images with the published checksums."""
    folder, layout = options.find(), options.layout
    for part, n in PARTS.items():
        found = len(read(folder, part, layout)[1])
        if found != n:
            raise layout.error(folder, f"{found:,} images of {part}, expected {n:,}")
    for stem, expected in options.md5.items():
        path = find_idx(folder, stem)
        if hashlib.md5(read_bytes(path, LIMIT, "an IDX file", layout.again)).hexdigest() != expected:
            raise layout.error(path, "differs from the published file")
    return "60,000 + 10,000 images, checksums as published"


def read(folder: Path, part: str, layout: Layout) -> tuple[Tensor, Tensor]:
    """Returns pixels (N, 784, 1) uint8 and labels (N,) int64 of 'train' or 't10k'.

    Raises:
        UserError: a file is broken, or images and labels do not match.
    """
    image_path, label_path = (find_idx(folder, f"{part}-{kind}-ubyte") for kind in ("images-idx3", "labels-idx1"))
    images, labels = read_idx(image_path, (SIDE, SIDE), layout), read_idx(label_path, (), layout)
    if len(images) != len(labels) or len(labels) == 0:
        raise layout.error(image_path, f"{len(images):,} images, but {label_path.name} has {len(labels):,} labels")
    if labels.max() > 9:
        raise layout.error(label_path, f"label {labels.max()}, expected 0 to 9")
    return torch.from_numpy(images.reshape(-1, SIDE**2, 1).copy()), torch.from_numpy(labels.astype("int64"))
