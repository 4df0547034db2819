"""Pathfinder (Linsley et al., arXiv 1805.08315) in LRA's sizes: do the two markers lie on one dashed contour? Path-X is the size 128.

Grey images of 32 x 32 (L = 1,024) or 128 x 128 (L = 16,384) pixels in [0, 1], or [-1, 1] with `center`; 2 classes.
`metadata/<k>.npy` is text despite its name: `imgs/<k> sample_<i>.png <i> <label> ...`. The images are decoded once into one mapped array.
"""

import io
import re
import struct
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import torch
from PIL import Image
from tqdm import tqdm

from ..errors import UserError
from ..files import read_bytes, read_text, reading
from .base import Splits, Subset
from .cache import MappedArray, cached, cached_array, fingerprint
from .layout import PREPARE, RECORD, Layout, is_generated, other_sizes
from .options import ThreeWay
from .scaled import ScaledSequences, Scaling

NAME = "pathfinder"
LEVELS = {"easy": "curv_baseline", "intermediate": "curv_contour_length_9", "hard": "curv_contour_length_14"}
PER_LEVEL = 200_000
CHECK_EVERY = 500  # images between two that `check` decodes
EMPTY_IMAGE = "pathfinder32/curv_baseline/imgs/0/sample_172.png"  # a file of no bytes in the published set
UNIT, CENTERED = Scaling((0.0,), (1.0,)), Scaling((0.5,), (0.5,))
LARGEST = 1 << 20  # bytes of an image, and of a metadata file; published ones have at most 20,000 and 60,000
_IMAGE_NAME = re.compile(r"imgs/[0-9]+/[A-Za-z0-9_]+\.png")
_PNG = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True, kw_only=True)
class Options(ThreeWay):
    """resolution: side of the image; level: 'hard' (contours of 14 dashes) is LRA's; center: pixels in [-1, 1]."""

    resolution: Literal[32, 64, 128, 256] = 32
    level: Literal["easy", "intermediate", "hard"] = "hard"
    center: bool = False

    @property
    def layout(self) -> Layout:
        """What lies where, for this resolution and level."""
        name, size, inner = (
            "pathx" if self.resolution == 128 else NAME,
            f"pathfinder{self.resolution}",
            LEVELS[self.level],
        )
        how = f"run `{PREPARE} {name} --archive lra_release.gz`"
        if self.resolution in (32, 128):
            how += f" or `{PREPARE} {name} --generate{'' if self.level == 'hard' else f' --level {self.level}'}`"
        return Layout(
            name=name,
            folders=(f"{NAME}/{size}", size),
            files=(f"{inner}/metadata",),
            shows=f"{NAME}/{size}/{inner}/ with imgs/<k>/sample_<i>.png and metadata/<k>.npy (text: folder, file, number, label, ...)",
            how=how,
        )

    def find(self) -> Path:
        """Returns the folder of a level.

        Raises:
            UserError: it is not there, or is the broken copy of pathfinder128 that LRA's archive holds beside the good one.
        """
        folder = self.layout.find(self.data_dir)
        if is_broken_copy(folder):
            good = folder.parent / "lra_release" / folder.name
            raise UserError(f"{folder} is the broken copy of LRA's archive; use {good}")
        return folder / LEVELS[self.level]


class Sample(NamedTuple):
    """One line of the metadata: the image, relative to the folder of its level, and its class."""

    image: str
    label: int


def load(options: Options) -> Splits:
    """Returns 160,000 / 20,000 / 20,000 images of the published set, or 80 / 10 / 10 % of what was generated."""
    folder = options.find()
    sources = sorted((folder / "metadata").glob("*.npy")) + [folder / RECORD] * is_generated(folder)
    settings = {"level": options.level, "source": fingerprint(sources)}
    cache = cached(folder.parent, f"pixels-{options.level}", settings, partial(_build, folder, options))
    labels = torch.from_numpy(cached_array(cache / "labels.npy"))
    images = ScaledSequences(MappedArray(cache / "pixels.npy"), labels, CENTERED if options.center else UNIT)
    train, val, test = (Subset(images, part) for part in options.split(len(images)))
    origin = "generated here" if is_generated(folder) else f"published files{_other_size(options, len(images))}"
    note = f"{origin}, random split, seed {options.seed}"
    return Splits(train, val, test, n_classes=2, l_max=options.resolution**2, d_input=1, note=note)


def _other_size(options: Options, n: int) -> str:
    return other_sizes({"all": n}, {"all": PER_LEVEL - (options.level == "easy" and options.resolution == 32)})


def check(options: Options) -> str:
    """Returns what was found; decodes one image in 500.

    Raises:
        UserError: the number of samples is not 200,000 (or what was asked of the generator), an image is missing, or the
            classes do not occur about equally often.
    """
    folder, layout = options.find(), options.layout
    samples, n, origin = read_metadata(folder, layout), PER_LEVEL, "published size"
    if is_generated(folder):
        n, origin = layout.recorded(folder, "num"), "as generated"
    if len(samples) not in (n, n - (origin == "published size" and options.level == "easy")):
        raise layout.error(folder, f"{len(samples):,} samples, expected {n:,}")
    for shard in sorted({Path(sample.image).parent for sample in samples}):
        there = {path.name for path in (folder / shard).glob("*.png")}
        missing = [s.image for s in samples if Path(s.image).parent == shard and Path(s.image).name not in there]
        if missing:
            raise layout.error(folder, f"{len(missing):,} images are missing, the first {missing[0]}")
    for sample in samples[::CHECK_EVERY]:
        read_image(folder / sample.image, options.resolution, layout)
    positive = sum(sample.label for sample in samples) / len(samples)
    if abs(positive - 0.5) > 5 * 0.5 / len(samples) ** 0.5:  # five standard deviations of a fair coin
        raise layout.error(folder, f"{positive:.1%} of the labels are 1, expected a half")
    return f"{len(samples):,} images ({origin}), {positive:.1%} positive"


def is_broken_copy(folder: Path) -> bool:
    """Tells whether `folder` is the outer pathfinder128 of an unpacked `lra_release/`: its labels do not fit its images."""
    return folder.name == "pathfinder128" and (folder.resolve().parent / "lra_release").is_dir()


def read_metadata(folder: Path, layout: Layout) -> list[Sample]:
    """Returns the samples of a level: files in the order of their numbers, lines in the order of the file.

    Raises:
        UserError: no metadata, a file that is not named by a number, or a line that is none.
    """
    samples, generated = [], is_generated(folder)
    paths = list((folder / "metadata").glob("*.npy"))
    for path in paths:
        if not (path.stem.isascii() and path.stem.isdecimal()):
            raise layout.error(path, "expected metadata named by numbers, as in 0.npy")
    for path in sorted(paths, key=lambda path: int(path.stem)):
        text = read_text(path, LARGEST, "lines of text (a binary array is not read)", layout.again)
        for number, line in enumerate(map(str.split, text.split("\n")), 1):
            if not line:
                continue
            image = "/".join(line[:2])
            if len(line) < 4 or line[3] not in ("0", "1") or not _IMAGE_NAME.fullmatch(image):
                raise layout.error(
                    path, f"expected 'folder file number label ...', found {' '.join(line)[:80]!r}", number
                )
            if generated or f"{folder.parent.name}/{folder.name}/{image}" != EMPTY_IMAGE:
                samples.append(Sample(image, int(line[3])))
    if not samples:
        raise layout.error(folder / "metadata", "no samples")
    return samples


def _build(folder: Path, options: Options, cache: Path) -> None:
    samples, layout = read_metadata(folder, options.layout), options.layout
    if is_generated(folder) and len(samples) != layout.recorded(folder, "num"):
        raise layout.error(
            folder / "metadata", f"{len(samples):,} samples, but {layout.recorded(folder, 'num'):,} were asked for"
        )
    shape = (len(samples), options.resolution**2, 1)
    pixels = np.lib.format.open_memmap(cache / "pixels.npy", mode="w+", dtype=np.uint8, shape=shape)
    for i, sample in enumerate(tqdm(samples, f"decoding {folder.parent.name}", disable=None)):
        pixels[i, :, 0] = read_image(folder / sample.image, options.resolution, layout).reshape(-1)
    pixels.flush()
    np.save(cache / "labels.npy", np.array([sample.label for sample in samples], dtype=np.int64))


def read_image(path: Path, resolution: int, layout: Layout) -> np.ndarray:
    """Returns grey levels (resolution, resolution). Raises UserError if the file is missing, broken or of another size."""
    data = read_bytes(path, LARGEST, "a PNG image", layout.again)
    if data[:8] != _PNG or data[12:16] != b"IHDR" or len(data) < 24:
        raise layout.error(path, "not a PNG image")
    size = struct.unpack(">II", data[16:24])  # before anything is allocated for it
    if size != (resolution, resolution):
        raise layout.error(path, f"{size[0]} x {size[1]} pixels, expected {resolution} x {resolution}")
    with reading(path, "a PNG image", layout.again), Image.open(io.BytesIO(data), formats=("PNG",)) as image:
        return np.asarray(image.convert("L"))
