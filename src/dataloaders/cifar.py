"""Sequential CIFAR-10 (Krizhevsky 2009): 32 x 32 images read pixel after pixel, L = 1024, 10 classes; the Image task of LRA when grey.

Read from the binary release: records of one label byte and 3,072 pixel bytes (red, green and blue planes); nothing is unpickled.
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from ..errors import UserError
from ..files import read_bytes
from .base import Splits, Subset, split_train
from .layout import Layout
from .options import HoldOut
from .scaled import ScaledSequences, Scaling

FOLDER = "cifar-10-batches-bin"
TRAIN_FILES, TEST_FILES = tuple(f"data_batch_{i}.bin" for i in range(1, 6)), ("test_batch.bin",)
LAYOUT = Layout(
    name="cifar",
    folders=(FOLDER, f"cifar/{FOLDER}"),
    files=(*TRAIN_FILES, *TEST_FILES),
    shows=f"{FOLDER}/ with data_batch_1.bin to data_batch_5.bin and test_batch.bin (records of a label byte and 3,072 pixel bytes)",
)
RECORD, PER_FILE, PLANE = 3073, 10_000, 1024
GREY = Scaling((122.6 / 255,), (61.0 / 255,))
COLOUR_MEAN = (0.4914, 0.4822, 0.4465)
LUMA = (19595, 38470, 7471)  # ITU-R 601 weights of red, green, blue in units of 2**-16


@dataclass(frozen=True, kw_only=True)
class Options(HoldOut):
    """What is read of an image, and how.

    Attributes:
        grayscale: one channel.
        colour_std: standard deviations of red, green and blue that a colour image is divided by. The default is that of the
            published training pipelines; P1's robustness and ablation programs divide by (0.2023, 0.1994, 0.2010).
        tokenize: grey levels as 256 tokens.
        augment: random crops and mirror images in training.
    """

    layout: ClassVar[Layout] = LAYOUT
    grayscale: bool = False
    colour_std: tuple[float, float, float] = (0.247, 0.243, 0.261)
    tokenize: bool = False
    augment: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if not all(0 < std < math.inf for std in self.colour_std):
            raise UserError(f"dataset.colour_std = {list(self.colour_std)}: expected three positive numbers")
        if self.tokenize and not self.grayscale:
            raise UserError("dataset.tokenize needs dataset.grayscale=true: only one channel can be read as tokens")


def load(options: Options) -> Splits:
    """Returns 45,000 / 5,000 / 10,000 images with the default options."""
    folder = options.find()
    scaling = None if options.tokenize else GREY if options.grayscale else Scaling(COLOUR_MEAN, options.colour_std)
    known, test = (
        ScaledSequences(to_grey(pixels) if options.grayscale else pixels, labels, scaling)
        for pixels, labels in (read(folder, TRAIN_FILES), read(folder, TEST_FILES))
    )
    train, val = split_train(known, options.val_split, options.seed)
    if options.augment:
        train = Subset(known.augmented(), train.indices)
    return Splits(
        train=train,
        val=val,
        test=test,
        n_classes=10,
        l_max=PLANE,
        d_input=None if options.tokenize else len(scaling.mean),
        vocabulary=tuple(map(str, range(256))) if options.tokenize else None,
        note=f"validation: {len(val):,} of the training images, seed {options.seed}",
    )


def check(options: Options) -> str:
    """Returns what was found. Raises UserError unless there are 50,000 + 10,000 images, balanced, of the known mean colour."""
    folder = options.find()
    for files, n in ((TRAIN_FILES, 5 * PER_FILE), (TEST_FILES, PER_FILE)):
        pixels, labels = read(folder, files)
        counts = torch.bincount(labels, minlength=10).tolist()
        if counts != [n // 10] * 10:
            raise LAYOUT.error(
                folder,
                f"{len(labels):,} images of {files[0]} ..., by class {counts}, expected {n // 10:,} of each class",
            )
        if files == TRAIN_FILES:
            mean = tuple(round(float(channel.double().mean()) / 255, 4) for channel in pixels.unbind(-1))
            if mean != COLOUR_MEAN:
                raise LAYOUT.error(folder, f"mean colour {mean}, expected {COLOUR_MEAN}: the planes are not CIFAR-10's")
    return "50,000 + 10,000 images, balanced, mean colour as published"


def read(folder: Path, files: tuple[str, ...]) -> tuple[Tensor, Tensor]:
    """Returns pixels (N, 1024, 3) uint8 and labels (N,) int64.

    Raises:
        UserError: a file is missing, does not consist of whole records, or holds a label above 9.
    """
    records = np.concatenate([_records(folder / file) for file in files])
    pixels = records[:, 1:].reshape(-1, 3, PLANE).transpose(0, 2, 1)
    return torch.from_numpy(np.ascontiguousarray(pixels)), torch.from_numpy(records[:, 0].astype(np.int64))


def _records(path: Path) -> np.ndarray:
    size = PER_FILE * RECORD
    data = read_bytes(path, size, f"the {size:,} of CIFAR-10's binary release", LAYOUT.again)
    if len(data) != size:
        raise LAYOUT.error(path, f"{len(data):,} bytes, expected {PER_FILE:,} records of {RECORD:,}")
    records = np.frombuffer(data, np.uint8).reshape(-1, RECORD)
    if records[:, 0].max() > 9:
        raise LAYOUT.error(path, "a label above 9; this is not CIFAR-10's binary release")
    return records


def to_grey(pixels: Tensor) -> Tensor:
    """(N, L, 3) uint8 to (N, L, 1) by ITU-R 601 in fixed point, rounded: the rule of Pillow, thus of torchvision."""
    grey = torch.empty(*pixels.shape[:2], 1, dtype=torch.uint8)
    for part, out in zip(
        pixels.split(4096), grey.split(4096), strict=True
    ):  # in parts: 32-bit copies of all would take 1.2 GB
        red, green, blue = part.int().unbind(-1)
        out[..., 0] = (LUMA[0] * red + LUMA[1] * green + LUMA[2] * blue + (1 << 15)) >> 16
    return grey
