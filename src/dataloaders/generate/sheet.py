"""A contact sheet: examples of an image set side by side, one row of pictures a class."""

from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from ...errors import UserError
from ..base import Splits

COLUMNS, WIDTH, GAP = 8, 128, 6  # pictures in a row, pixels of a picture's side, grey pixels between


def write_sheet(splits: Splits, path: Path) -> None:
    """Writes a PNG of the first training images of each class, at most 8 classes.

    Raises:
        UserError: the sequences are no square images.
    """
    images = [_first(splits, label) for label in range(min(splits.n_classes, 8))]
    sheet = torch.full((len(images) * (WIDTH + GAP) + GAP, COLUMNS * (WIDTH + GAP) + GAP, 3), 96, dtype=torch.uint8)
    for row, some in enumerate(images):
        for column, image in enumerate(some):
            top, left = GAP + row * (WIDTH + GAP), GAP + column * (WIDTH + GAP)
            sheet[top : top + WIDTH, left : left + WIDTH] = _picture(image)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(sheet.numpy()).save(path)


def _first(splits: Splits, label: int) -> Tensor:
    x, y, _ = splits.train.batch(torch.arange(min(len(splits.train), 400)))
    side = round(x.shape[1] ** 0.5)
    if splits.d_input not in (1, 3) or side * side != x.shape[1]:
        raise UserError("--sheet: these sequences are no square images")
    return x[y == label][:COLUMNS].unflatten(1, (side, side))


def _picture(image: Tensor) -> Tensor:
    """(side, side, 1 or 3) values to (WIDTH, WIDTH, 3) bytes, darkest black and brightest white, pixels kept square."""
    scaled = 255 * (image - image.min()) / (image.max() - image.min()).clamp(min=1e-6)
    index = torch.arange(WIDTH) * image.shape[0] // WIDTH
    return scaled.round().to(torch.uint8)[index][:, index].expand(-1, -1, 3)
