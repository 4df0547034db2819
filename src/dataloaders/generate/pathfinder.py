"""Pathfinder and Path-X images in the layout of LRA's archive, each image a function of the seed and its number."""

import io
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cache, partial
from pathlib import Path

import numpy as np
from PIL import Image

from src.dataloaders.generate.contours import Rules, draw_image
from src.dataloaders.generate.dashes import Dashes, draw_dashes, draw_marker
from src.dataloaders.generate.pathfinder_settings import SETTINGS
from src.dataloaders.generate.shards import open_record, run_shards, write_whole
from src.dataloaders.pathfinder import PER_LEVEL
from src.errors import UserError

SHARD = 1000  # images of one folder, as in the archive


@dataclass(frozen=True)
class Plan:
    """A set to make."""

    resolution: int = 32
    seed: int = 0
    num: int = PER_LEVEL

    def __post_init__(self):
        if self.resolution not in SETTINGS:
            raise UserError(
                f"pathfinder: can generate resolution {' or '.join(map(str, SETTINGS))}, not {self.resolution}"
            )
        if self.num < 1:
            raise UserError(f"pathfinder: --num {self.num} must be at least 1")


@cache
def _drawing(resolution: int) -> tuple[Rules, list[Dashes], np.ndarray]:
    settings = SETTINGS[resolution]
    rules = Rules(**{name: getattr(settings, name) for name in Rules._fields})
    return rules, [draw_dashes(settings, margin) for margin in settings.margins], draw_marker(settings)


def example(plan: Plan, index: int) -> tuple[np.ndarray, int, int]:
    """Returns image number `index` (side, side) uint8, its label and the margin of its dashes."""
    rules, dashes, marker = _drawing(plan.resolution)
    rng = np.random.default_rng([plan.seed, plan.resolution, index])
    choice = int(rng.integers(len(dashes)))
    image, label, _ = draw_image(rng, dashes[choice], marker, rules)
    return image, label, SETTINGS[plan.resolution].margins[choice]


def generate(folder: Path, plan: Plan, workers: int) -> None:
    """Writes images and metadata into `folder` (a level's); a run that was stopped goes on where it was.

    Raises:
        UserError: the folder holds another set.
    """
    record = {"generator": "pathfinder", "format": 1, **asdict(plan), "settings": asdict(SETTINGS[plan.resolution])}
    open_record(folder, record)
    (folder / "metadata").mkdir(exist_ok=True)
    n_shards = -(-plan.num // SHARD)
    missing = [shard for shard in range(n_shards) if not (folder / "metadata" / f"{shard}.npy").is_file()]
    run_shards(partial(_write_shard, folder, plan), missing, workers, f"pathfinder{plan.resolution}")


def _write_shard(folder: Path, plan: Plan, shard: int) -> None:
    """Writes the images of a shard and then its metadata, which says that it is whole."""
    (folder / "imgs" / str(shard)).mkdir(parents=True, exist_ok=True)
    lines = "".join(f"{line}\n" for line in _write_images(folder, plan, shard))
    write_whole(folder / "metadata" / f"{shard}.npy", lines.encode())


def _write_images(folder: Path, plan: Plan, shard: int) -> Iterator[str]:
    settings = SETTINGS[plan.resolution]
    for i in range(min(SHARD, plan.num - shard * SHARD)):
        image, label, margin = example(plan, shard * SHARD + i)
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
