"""The dashes ("paddles") and markers of Pathfinder as small pictures, drawn once for every direction.

Each is drawn at `antialias` times the size and reduced by a Lanczos filter. Beside a dash stands its mask: the dash widened by the margin
that it keeps from other dashes. Positions are (row, column), angles go from the column axis towards larger rows.
"""

from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw
from scipy.ndimage import binary_dilation

from .pathfinder_settings import Settings

_MARGIN_OF_LANCZOS = 3  # its radius in pixels


class Dashes(NamedTuple):
    """All dashes of one margin. The first 360 are the directions of a first dash in whole degrees, drawn from their tail;
    the others are those of a further dash, drawn backwards from their head.

    angle: (D,) of each direction.
    dash, mask: (D, S, S) with the point that the dash is drawn from in the middle, 0..1.
    step: (D, 2) from the joint before a dash to the joint after it.
    reach: (D, 2) from the joint before a dash to its head; a further dash is chosen among these points.
    tail_to_head, tail_to_joint: (360, 2) from a first dash's tail to its head, and to the joint before it.
    solid, n_solid: (360, K, 2) the points of a first dash's mask that are 1, seen from its tail, and how many of the K there are.
    disc: (K, 2) the points within the margin of a point.
    """

    angle: np.ndarray
    dash: np.ndarray
    mask: np.ndarray
    step: np.ndarray
    reach: np.ndarray
    tail_to_head: np.ndarray
    tail_to_joint: np.ndarray
    solid: np.ndarray
    n_solid: np.ndarray
    disc: np.ndarray


def draw_dashes(settings: Settings, margin: int) -> Dashes:
    """Returns the dashes of `settings` for one margin."""
    length = settings.paddle_length
    first = np.deg2rad(np.arange(-180, 180))
    reach = _circle(length + margin)
    further = np.arctan2(reach[:, 0], reach[:, 1]).astype(float)
    pictures = [_draw(settings, margin, angle) for angle in [*first, *(further - np.pi)]]
    head = _ceil(first, length)
    angle = np.concatenate([first, further])
    mask = np.array([mask for _, mask in pictures], dtype=np.float32)
    solid, n_solid = _solid_points(mask[: len(first)])
    return Dashes(
        angle=angle,
        dash=np.array([dash for dash, _ in pictures], dtype=np.float32),
        mask=mask,
        step=_ceil(angle, length + 2 * margin),
        reach=np.concatenate([np.zeros((len(first), 2), dtype=np.int64), reach]),
        tail_to_head=head,
        tail_to_joint=head + _ceil(first + np.pi, length + margin),
        solid=solid,
        n_solid=n_solid,
        disc=np.argwhere(_disc(margin)) - margin,
    )


def draw_marker(settings: Settings) -> np.ndarray:
    """Returns the picture (2 R + 1, 2 R + 1) of a disc of the marker's radius, 0..1, its centre in the middle."""
    scale = settings.antialias
    half = int(np.ceil(settings.marker_radius)) + _MARGIN_OF_LANCZOS
    place = np.arange((2 * half + 1) * scale) - half * scale
    disc = place[:, None] ** 2 + place[None, :] ** 2 <= (settings.marker_radius * scale) ** 2
    return _reduce(disc, 2 * half + 1)


def _solid_points(masks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    points = [np.argwhere(mask == 1) - mask.shape[0] // 2 for mask in masks]
    n_solid = np.array([len(some) for some in points])
    solid = np.zeros((len(masks), n_solid.max(), 2), dtype=np.int64)
    for row, some in zip(solid, points, strict=True):
        row[: len(some)] = some
    return solid, n_solid


def _circle(radius: int) -> np.ndarray:
    """The distinct pixels (K, 2) on a circle about a pixel, looked at once every pixel of arc."""
    turn = np.arange(0, 2 * np.pi, 1 / radius)
    points = np.stack([radius * np.sin(turn), radius * np.cos(turn)], 1)
    return np.unique(np.floor(np.round(points, 9)).astype(np.int64), axis=0)


def _ceil(angle: np.ndarray, distance: float) -> np.ndarray:
    """The displacement (..., 2) by a distance at an angle, rounded up to whole pixels."""
    exact = distance * np.stack([np.sin(angle), np.cos(angle)], -1)
    return np.ceil(np.round(exact, 9)).astype(np.int64)  # sin(pi) is 1e-16 and must not round up to a pixel


def _draw(settings: Settings, margin: int, angle: float) -> tuple[np.ndarray, np.ndarray]:
    """The dash from the middle at an angle, and its mask."""
    scale = settings.antialias
    half = settings.paddle_length + int(np.ceil(settings.thickness)) + margin
    side, middle = 2 * half * scale + 1, half * scale
    row, column = (middle + _ceil(np.array(angle), settings.paddle_length * scale)).tolist()
    image = Image.new("L", (side, side))
    ImageDraw.Draw(image).line([(middle, middle), (column, row)], fill=255, width=round(settings.thickness * scale))
    drawn = np.asarray(image) > 0
    return _reduce(drawn, 2 * half + 1), _reduce(binary_dilation(drawn, _disc(margin * scale)), 2 * half + 1)


def _reduce(picture: np.ndarray, side: int) -> np.ndarray:
    image = Image.fromarray(np.where(picture, 255, 0).astype(np.uint8))
    return np.asarray(image.resize((side, side), Image.Resampling.LANCZOS), dtype=np.float32) / 255


def _disc(radius: int) -> np.ndarray:
    place = np.arange(-radius, radius + 1)
    return place[:, None] ** 2 + place[None, :] ** 2 <= radius**2
