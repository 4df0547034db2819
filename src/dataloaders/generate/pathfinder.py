"""Pathfinder and Path-X images in the layout of LRA's archive, each image a function of the seed and its number."""

import io
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cache, partial
from pathlib import Path

import numpy as np
from PIL import Image

from ...errors import UserError, did_you_mean
from ..pathfinder import PER_LEVEL
from .contours import Rules, draw_image
from .dashes import Dashes, draw_dashes, draw_marker
from .pathfinder_settings import CONTOUR_LENGTHS, SETTINGS, settings_of
from .shards import open_record, run_shards, write_whole

SHARD = 1000  # images of one folder, as in the archive


@dataclass(frozen=True)
class Request:
    """A set to make."""

    resolution: int = 32
    seed: int = 0
    num: int = PER_LEVEL
    level: str = "hard"

    def __post_init__(self):
        if self.level not in CONTOUR_LENGTHS:
            raise UserError(f"pathfinder: unknown level '{self.level}'{did_you_mean(self.level, CONTOUR_LENGTHS)}")
        if self.resolution not in SETTINGS:
            raise UserError(
                f"pathfinder: can generate resolution {' or '.join(map(str, SETTINGS))}, not {self.resolution}"
            )
        if self.num < 1:
            raise UserError(f"pathfinder: --num {self.num} must be at least 1")


@cache
def _drawing(resolution: int, level: str = "hard") -> tuple[Rules, list[Dashes], np.ndarray]:
    settings = settings_of(resolution, level)
    rules = Rules(**{name: getattr(settings, name) for name in Rules._fields})
    return rules, [draw_dashes(settings, margin) for margin in settings.margins], draw_marker(settings)


def example(request: Request, index: int) -> tuple[np.ndarray, int, int]:
    """Returns image number `index` (side, side) uint8, its label and the margin of its dashes."""
    rules, dashes, marker = _drawing(request.resolution, request.level)
    rng = np.random.default_rng([request.seed, request.resolution, index])
    choice = int(rng.integers(len(dashes)))
    image, label, _ = draw_image(rng, dashes[choice], marker, rules)
    return image, label, SETTINGS[request.resolution].margins[choice]


def generate(folder: Path, request: Request, workers: int) -> None:
    """Writes images and metadata into `folder` (a level's); a run that was stopped goes on where it was.

    Raises:
        UserError: the folder holds another set.
    """
    plain = {key: value for key, value in asdict(request).items() if key != "level"}  # the contour's length says it
    rules = _drawing(request.resolution, request.level)[0]
    settings = asdict(settings_of(request.resolution, request.level)) | rules._asdict()
    del settings["distractor_dashes"]
    record = {"generator": "pathfinder", "format": 1, **plain, "settings": settings}
    open_record(folder, record)
    (folder / "metadata").mkdir(exist_ok=True)
    n_shards = -(-request.num // SHARD)
    missing = [shard for shard in range(n_shards) if not (folder / "metadata" / f"{shard}.npy").is_file()]
    run_shards(partial(_write_shard, folder, request), missing, workers, f"pathfinder{request.resolution}")


def _write_shard(folder: Path, request: Request, shard: int) -> None:
    """Writes the images of a shard and then its metadata, which says that it is whole."""
    (folder / "imgs" / str(shard)).mkdir(parents=True, exist_ok=True)
    lines = "".join(f"{line}\n" for line in _write_images(folder, request, shard))
    write_whole(folder / "metadata" / f"{shard}.npy", lines.encode())


def _write_images(folder: Path, request: Request, shard: int) -> Iterator[str]:
    settings = settings_of(request.resolution, request.level)
    for i in range(min(SHARD, request.num - shard * SHARD)):
        image, label, margin = example(request, shard * SHARD + i)
        png = io.BytesIO()
        Image.fromarray(image).save(png, "PNG")
        (folder / "imgs" / str(shard) / f"sample_{i}.png").write_bytes(png.getvalue())
        yield " ".join(
            map(
                str,
                (
                    *(f"imgs/{shard}", f"sample_{i}.png", i, label, settings.continuity, settings.contour_length),
                    *(settings.distractor_length, settings.paddle_length, settings.thickness, margin, 1),
                ),
            )
        )
