"""The 1,797 handwritten digits of Alpaydin & Kaynak (UCI, 1998; CC BY 4.0): 8 x 8 images, L = 64, 10 classes. Ships with the project.

A real set that a laptop learns in a minute, offline: for trying things out, not for comparing models.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch

from ..files import read_bytes
from .base import Splits, Subset
from .layout import Layout
from .options import ThreeWay
from .root import EMBEDDED
from .scaled import ScaledSequences, Scaling

FILE = "digits8x8.csv.gz"
N = 1797
SHA256 = "6ebb3d2fee246a4e99363262ddf8a00a3c41bee6014c373ed9d9216ba7f651b8"  # of the table without gzip
SYMMETRIC = Scaling((0.5,), (0.5,), top=16.0)  # pixels count ink from 0 to 16; scaled to [-1, 1]
LAYOUT = Layout(
    name="digits",
    folders=(),
    files=(FILE,),
    shows=f"{FILE} (lines of 64 pixels from 0 to 16 and the digit); ships with the project",
    how=f"restore data/{FILE}",
)


@dataclass(frozen=True, kw_only=True)
class Options(ThreeWay):
    """data_dir: None takes the file that ships with the project."""

    layout: ClassVar[Layout] = LAYOUT
    test_split: float = 0.2

    def find(self) -> Path:
        """Returns the folder of the file."""
        return LAYOUT.find(self.data_dir or str(EMBEDDED))


def load(options: Options) -> Splits:
    """Returns 1,259 / 179 / 359 images with the default options."""
    table = read(options)
    pixels, labels = torch.from_numpy(table[:, :64, None].copy()), torch.from_numpy(table[:, 64].astype(np.int64))
    digits = ScaledSequences(pixels, labels, SYMMETRIC)
    train, val, test = (Subset(digits, part) for part in options.split(len(digits)))
    return Splits(train, val, test, n_classes=10, l_max=64, d_input=1, note=f"random split, seed {options.seed}")


def check(options: Options) -> str:
    """Returns what was found. Raises UserError unless the file is the one that ships with the project."""
    return f"{len(read(options)):,} images, checksum as shipped"


def read(options: Options) -> np.ndarray:
    """Returns the table (1797, 65) uint8. Raises UserError unless the file is the one that ships with the project."""
    path = options.find() / FILE
    data = read_bytes(path, 1 << 20, "the table of digits", LAYOUT.how)
    if hashlib.sha256(data).hexdigest() != SHA256:
        raise LAYOUT.error(path, "differs from the file that ships with the project")
    return np.loadtxt(data.decode("ascii").splitlines(), delimiter=",", dtype=np.uint8)
