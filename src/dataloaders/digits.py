"""The 1,797 handwritten digits of Alpaydin & Kaynak (UCI, 1998; CC BY 4.0): 8 x 8 images, L = 64, 10 classes. Ships with the project.

A real set that a laptop learns in a minute, offline: for trying things out, not for comparing models.
"""

import gzip
import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from ..errors import UserError
from .base import Splits, Subset, check_fraction, random_split
from .root import EMBEDDED, find_folder
from .scaled import ScaledSequences, Scaling

NAME = "digits"
FILE = "digits8x8.csv.gz"
N = 1797
SHA256 = "6ebb3d2fee246a4e99363262ddf8a00a3c41bee6014c373ed9d9216ba7f651b8"  # of the table without gzip
SYMMETRIC = Scaling((0.5,), (0.5,), top=16.0)  # pixels count ink from 0 to 16; scaled to [-1, 1]


@dataclass(frozen=True)
class Options:
    """data_dir: None takes the file that ships with the project."""

    data_dir: str | None = None
    val_split: float = 0.1
    test_split: float = 0.2
    seed: int = 42

    def __post_init__(self):
        check_fraction(val_split=self.val_split, test_split=self.test_split)


def load(options: Options) -> Splits:
    """Returns 1,259 / 179 / 359 images with the default options."""
    table = np.loadtxt(find(options) / FILE, delimiter=",", dtype=np.uint8)
    pixels, labels = torch.from_numpy(table[:, :64, None].copy()), torch.from_numpy(table[:, 64].astype(np.int64))
    digits = ScaledSequences(pixels, labels, SYMMETRIC)
    n_val, n_test = int(options.val_split * len(digits)), int(options.test_split * len(digits))
    parts = random_split(len(digits), [len(digits) - n_val - n_test, n_val, n_test], options.seed)
    train, val, test = (Subset(digits, part) for part in parts)
    return Splits(train, val, test, n_classes=10, l_max=64, d_input=1, note=f"random split, seed {options.seed}")


def find(options: Options) -> Path:
    """Returns the folder of the file."""
    return find_folder(NAME, options.data_dir or str(EMBEDDED), (), (FILE,), f"restore data/{FILE}")


def check(options: Options) -> str:
    """Returns what was found. Raises UserError unless the file is the one that ships with the project."""
    path = find(options) / FILE
    if hashlib.sha256(gzip.decompress(path.read_bytes())).hexdigest() != SHA256:
        raise UserError(f"{path} differs from the file that ships with the project; restore data/{FILE}")
    return f"{N:,} images, checksum as shipped"
