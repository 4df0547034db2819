"""Pathfinder (Linsley et al., arXiv 1805.08315) in LRA's sizes: do the two markers lie on one dashed contour? Path-X is the size 128.

Grey images of 32 x 32 (L = 1,024) or 128 x 128 (L = 16,384) pixels in [0, 1], or [-1, 1] with `center`; 2 classes.
`metadata/<k>.npy` is text despite its name: `imgs/<k> sample_<i>.png <i> <label> ...`. The images are decoded once into one mapped array.
"""

import json
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import torch
from PIL import Image
from tqdm import tqdm

from ..errors import UserError
from .base import Splits, Subset, check_fraction, random_split
from .cache import MappedArray, cached, fingerprint
from .root import RECORD, find_folder
from .scaled import ScaledSequences, Scaling

NAME = "pathfinder"
LEVELS = {"easy": "curv_baseline", "intermediate": "curv_contour_length_9", "hard": "curv_contour_length_14"}
PER_LEVEL = 200_000
CHECK_EVERY = 500  # images between two that `check` decodes
EMPTY_IMAGE = "pathfinder32/curv_baseline/imgs/0/sample_172.png"  # a file of no bytes in the published set
UNIT, CENTERED = Scaling((0.0,), (1.0,)), Scaling((0.5,), (0.5,))


@dataclass(frozen=True)
class Options:
    """resolution: side of the image; level: 'hard' (contours of 14 dashes) is LRA's; center: pixels in [-1, 1]."""

    data_dir: str | None = None
    resolution: Literal[32, 64, 128, 256] = 32
    level: Literal["easy", "intermediate", "hard"] = "hard"
    center: bool = False
    val_split: float = 0.1
    test_split: float = 0.1
    seed: int = 42

    def __post_init__(self):
        check_fraction(val_split=self.val_split, test_split=self.test_split)


class Sample(NamedTuple):
    """One line of the metadata: the image, relative to the folder of its level, and its class."""

    image: str
    label: int


def load(options: Options) -> Splits:
    """Returns 160,000 / 20,000 / 20,000 images of the published set, or 80 / 10 / 10 % of what was generated."""
    folder = find(options)
    settings = {"level": options.level, "source": fingerprint(sorted((folder / "metadata").glob("*.npy")))}
    cache = cached(folder.parent, f"pixels-{options.level}", settings, partial(_build, folder, options.resolution))
    labels = torch.from_numpy(np.load(cache / "labels.npy", allow_pickle=False))
    images = ScaledSequences(MappedArray(cache / "pixels.npy"), labels, CENTERED if options.center else UNIT)
    n_val, n_test = int(options.val_split * len(images)), int(options.test_split * len(images))
    parts = random_split(len(images), [len(images) - n_val - n_test, n_val, n_test], options.seed)
    train, val, test = (Subset(images, part) for part in parts)
    origin = "generated here" if (folder / RECORD).is_file() else "published files"
    note = f"{origin}, random split, seed {options.seed}"
    return Splits(train, val, test, n_classes=2, l_max=options.resolution**2, d_input=1, note=note)


def find(options: Options) -> Path:
    """Returns the folder of a level.

    Raises:
        UserError: it is not there, or is the broken copy of pathfinder128 that LRA's archive holds beside the good one.
    """
    size, inner = f"pathfinder{options.resolution}", LEVELS[options.level]
    name = "pathx" if options.resolution == 128 else NAME
    command = f"python -m src.dataloaders prepare {name}"
    how = f"run `{command} --archive lra_release.gz`"
    if options.resolution in (32, 128):
        how += f" or `{command} --generate{'' if options.level == 'hard' else f' --level {options.level}'}`"
    folder = find_folder(name, options.data_dir, (f"{NAME}/{size}", size), (f"{inner}/metadata",), how)
    if is_broken_copy(folder):
        raise UserError(f"{folder} is the broken copy of LRA's archive; use {folder.parent / 'lra_release' / size}")
    return folder / inner


def check(options: Options) -> str:
    """Returns what was found; decodes one image in 500.

    Raises:
        UserError: the number of samples is not 200,000 (or what was asked of the generator), an image is missing, or the
            classes do not occur about equally often.
    """
    folder = find(options)
    samples, record, n, origin = read_metadata(folder), folder / RECORD, PER_LEVEL, "published size"
    if record.is_file():
        n, origin = json.loads(record.read_text(encoding="utf-8"))["num"], "as generated"
    if len(samples) not in (n, n - (origin == "published size" and options.level == "easy")):
        raise UserError(f"{folder}: {len(samples):,} samples, expected {n:,}; prepare the set again")
    for shard in sorted({Path(sample.image).parent for sample in samples}):
        there = {path.name for path in (folder / shard).glob("*.png")}
        missing = [s.image for s in samples if Path(s.image).parent == shard and Path(s.image).name not in there]
        if missing:
            raise UserError(
                f"{folder}: {len(missing):,} images are missing, the first {missing[0]}; prepare the set again"
            )
    for sample in samples[::CHECK_EVERY]:
        read_image(folder / sample.image, options.resolution)
    positive = sum(sample.label for sample in samples) / len(samples)
    if abs(positive - 0.5) > 5 * 0.5 / len(samples) ** 0.5:  # five standard deviations of a fair coin
        raise UserError(f"{folder}: {positive:.1%} of the labels are 1, expected a half; prepare the set again")
    return f"{len(samples):,} images ({origin}), {positive:.1%} positive"


def is_broken_copy(folder: Path) -> bool:
    """Tells whether `folder` is the outer pathfinder128 of an unpacked `lra_release/`: its labels do not fit its images."""
    return folder.name == "pathfinder128" and (folder.resolve().parent / "lra_release").is_dir()


def read_metadata(folder: Path) -> list[Sample]:
    """Returns the samples of a level: files in the order of their numbers, lines in the order of the file.

    Raises:
        UserError: no metadata, or a line that is none.
    """
    samples, generated = [], (folder / RECORD).is_file()
    for path in sorted((folder / "metadata").glob("*.npy"), key=lambda path: int(path.stem)):
        try:
            lines = path.read_text(encoding="ascii").splitlines()
        except UnicodeDecodeError:
            raise UserError(f"{path}: expected lines of text; a binary array is not read") from None
        for line in filter(None, map(str.split, lines)):
            if len(line) < 4 or line[3] not in ("0", "1"):
                raise UserError(f"{path}: expected 'folder file number label ...', found {' '.join(line)[:80]!r}")
            image = f"{line[0]}/{line[1]}"
            if generated or f"{folder.parent.name}/{folder.name}/{image}" != EMPTY_IMAGE:
                samples.append(Sample(image, int(line[3])))
    if not samples:
        raise UserError(f"{folder / 'metadata'}: no samples; prepare the set again")
    return samples


def _build(folder: Path, resolution: int, cache: Path) -> None:
    samples = read_metadata(folder)
    shape = (len(samples), resolution**2, 1)
    pixels = np.lib.format.open_memmap(cache / "pixels.npy", mode="w+", dtype=np.uint8, shape=shape)
    for i, sample in enumerate(tqdm(samples, f"decoding {folder.parent.name}", disable=None)):
        pixels[i, :, 0] = read_image(folder / sample.image, resolution).reshape(-1)
    pixels.flush()
    np.save(cache / "labels.npy", np.array([sample.label for sample in samples], dtype=np.int64))


def read_image(path: Path, resolution: int) -> np.ndarray:
    """Returns grey levels (resolution, resolution). Raises UserError if the file is missing, broken or of another size."""
    try:
        with Image.open(path) as image:
            grey = np.asarray(image.convert("L"))
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error}); prepare the set again") from None
    if grey.shape != (resolution, resolution):
        raise UserError(f"{path}: {grey.shape[1]} x {grey.shape[0]} pixels, expected {resolution} x {resolution}")
    return grey
