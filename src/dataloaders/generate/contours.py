"""Two dashed contours, distractors and two markers in one image, compiled (Linsley et al., arXiv 1805.08315).

A contour is a chain of dashes. Between two dashes lies a joint; the next dash starts a margin behind it and its head is drawn
among the pixels of a circle about the joint, with probability proportional to cos(c d)^2 times how free the pixel is, d the turn
and c the continuity (c d at most pi/2). A dash whose mask would cover a mask that is already there is tried again; a contour that
cannot go on is given up.
The two contours grow in turns. A dash enters the mask when its successor is drawn, so that it does not stand in its successor's way.
"""

from typing import NamedTuple

import numpy as np
from numba import njit

from .dashes import Dashes

FREE = 0.3  # a pixel is taken for a first dash where the mask is above this
CROSSING = 1.8  # two masks that add up to this are two dashes on one place
DEAD_END = 1e-4  # total weight of the next heads below which a contour cannot go on
DEGREES = 360
DRAWS = 64  # places tried at random before all free places are listed: the same distribution, mostly without the list


class Rules(NamedTuple):
    """The settings that the compiled loop needs; see `Settings`."""

    side: int
    padding: int
    seed_distance: int
    contour_length: int
    distractor_length: int
    n_distractors: int
    continuity: float
    contour_contrast: float
    distractor_contrast: float
    paddle_trials: int
    distractor_trials: int


@njit(cache=True)
def _stamp(image, picture, row, column, contrast):
    """image = max(image, contrast * picture) with the picture's middle at (row, column)."""
    half = picture.shape[0] // 2
    for i in range(max(0, half - row), min(picture.shape[0], image.shape[0] - row + half)):
        for j in range(max(0, half - column), min(picture.shape[1], image.shape[1] - column + half)):
            value = np.float32(contrast) * picture[i, j]
            if value > image[row + i - half, column + j - half]:
                image[row + i - half, column + j - half] = value


@njit(cache=True)
def _crosses(mask, picture, row, column):
    """Does a mask at (row, column) cover what is in `mask`?"""
    half = picture.shape[0] // 2
    for i in range(max(0, half - row), min(picture.shape[0], mask.shape[0] - row + half)):
        for j in range(max(0, half - column), min(picture.shape[1], mask.shape[1] - column + half)):
            if mask[row + i - half, column + j - half] + picture[i, j] >= CROSSING:
                return True
    return False


@njit(cache=True)
def _fits(mask, solid, row, column, inset):
    """Does a first dash with the solid points (K, 2) lie on free pixels from (row, column) on, at least `inset` from the border?"""
    side = mask.shape[0]
    for k in range(len(solid)):
        y, x = row + solid[k, 0], column + solid[k, 1]
        if not (inset <= y < side - inset and inset <= x < side - inset) or mask[y, x] > FREE:
            return False
    return True


@njit(cache=True)
def _inside(mask, row, column):
    return 0 <= row < mask.shape[0] and 0 <= column < mask.shape[1]


@njit(cache=True)
def _in_image(mask, head, joint, row, column):
    """Do the head of a first dash and the joint before it lie in the image?"""
    return _inside(mask, row + head[0], column + head[1]) and _inside(mask, row + joint[0], column + joint[1])


@njit(cache=True)
def _free_place(rng, mask, solid, inset):
    """A tail drawn from all places that are free for a first dash; row -1 if there is none."""
    span = mask.shape[0] - 2 * inset
    for _ in range(DRAWS):
        row, column = inset + int(span * rng.random()), inset + int(span * rng.random())
        if _fits(mask, solid, row, column, inset):
            return row, column
    places, n = np.empty((span * span, 2), dtype=np.int64), 0
    for row in range(inset, inset + span):
        for column in range(inset, inset + span):
            if _fits(mask, solid, row, column, inset):
                places[n, 0], places[n, 1] = row, column
                n += 1
    if n == 0:
        return -1, -1
    chosen = places[int(n * rng.random())]
    return chosen[0], chosen[1]


@njit(cache=True)
def _seed(rng, mask, dashes, inset, trials):
    """A direction and a tail for a first dash; direction -1 if there is no place for it."""
    for _ in range(trials + 1):
        direction = int(DEGREES * rng.random())
        row, column = _free_place(rng, mask, dashes.solid[direction, : dashes.n_solid[direction]], inset)
        if row < 0:
            return -1, 0, 0
        if _in_image(mask, dashes.tail_to_head[direction], dashes.tail_to_joint[direction], row, column):
            return direction, row, column
    return -1, 0, 0


@njit(cache=True)
def _second_seed(rng, mask, dashes, row, column, distance, trials):
    """A direction and a tail at a distance from the first contour's tail; direction -1 if none is found."""
    for _ in range(trials + 1):
        direction, turn = int(DEGREES * rng.random()), 2 * np.pi * int(DEGREES * rng.random()) / DEGREES
        y, x = int(np.round(row + distance * np.sin(turn))), int(np.round(column + distance * np.cos(turn)))
        if _in_image(mask, dashes.tail_to_head[direction], dashes.tail_to_joint[direction], y, x):
            return direction, y, x
    return -1, 0, 0


@njit(cache=True)
def _set(contour, direction, row, column, joint_row, joint_column):
    contour[0] = direction
    contour[1], contour[2] = row, column
    contour[3], contour[4] = joint_row, joint_column


@njit(cache=True)
def _start(image, dash, joint, contour, direction, row, column, contrast):
    """Draws a first dash. contour: (direction, the point that its last dash is drawn from (2), the joint before that dash (2))."""
    _stamp(image, dash, row, column, contrast)
    _set(contour, direction, row, column, row + joint[0], column + joint[1])


@njit(cache=True)
def _enter(mask, masks, contour):
    """Puts the contour's last dash into the mask."""
    _stamp(mask, masks[contour[0]], contour[1], contour[2], 1.0)


@njit(cache=True)
def _weigh(mask, angle, reach, disc, direction, row, column, continuity, weights):
    """Weights of the next heads about the joint (row, column); returns their sum."""
    total = 0.0
    for k in range(DEGREES, len(angle)):
        weights[k] = 0.0
        y, x = row + reach[k, 0], column + reach[k, 1]
        if not _inside(mask, y, x):
            continue
        taken = np.float32(0)
        for i in range(len(disc)):
            if _inside(mask, y + disc[i, 0], x + disc[i, 1]):
                taken = max(taken, mask[y + disc[i, 0], x + disc[i, 1]])
        turn = abs(angle[k] - angle[direction])
        turn = min(continuity * min(turn, 2 * np.pi - turn), np.pi / 2)
        weights[k] = (1 - taken) * np.cos(turn) ** 2
        total += weights[k]
    return total


@njit(cache=True)
def _extend(rng, image, mask, dashes, contour, rules, contrast, weights):
    """Adds a dash to a contour; returns False if it cannot go on."""
    row, column = contour[3] + dashes.step[contour[0], 0], contour[4] + dashes.step[contour[0], 1]
    total = _weigh(mask, dashes.angle, dashes.reach, dashes.disc, contour[0], row, column, rules.continuity, weights)
    if total < DEAD_END:
        return False
    for _ in range(rules.paddle_trials + 1):
        left, k = rng.random() * total, DEGREES
        while k < len(weights) - 1 and left >= weights[k]:
            left -= weights[k]
            k += 1
        y, x = row + dashes.reach[k, 0], column + dashes.reach[k, 1]
        if not _inside(mask, y, x) or _crosses(mask, dashes.mask[k], y, x):
            continue
        _stamp(image, dashes.dash[k], y, x, contrast)
        _enter(mask, dashes.mask, contour)
        _set(contour, k, y, x, row, column)
        return True
    return False


@njit(cache=True)
def _note(ends, contours, which):
    """Notes where the contours are now as their ends number `which`."""
    for i in range(2):
        ends[i, which, 0], ends[i, which, 1] = contours[i, 1], contours[i, 2]


@njit(cache=True)
def _two_contours(rng, image, mask, dashes, rules, ends, weights):
    """Draws the two contours; ends: (contour, tail or head, 2). Returns False if they did not come out."""
    contours = np.zeros((2, 5), dtype=np.int64)
    direction, row, column = _seed(rng, mask, dashes, 2 * rules.seed_distance, rules.paddle_trials)
    if direction < 0:
        return False
    _start(
        image,
        dashes.dash[direction],
        dashes.tail_to_joint[direction],
        contours[0],
        direction,
        row,
        column,
        rules.contour_contrast,
    )
    direction, row, column = _second_seed(rng, mask, dashes, row, column, rules.seed_distance, rules.paddle_trials)
    if direction < 0:
        return False
    _start(
        image,
        dashes.dash[direction],
        dashes.tail_to_joint[direction],
        contours[1],
        direction,
        row,
        column,
        rules.contour_contrast,
    )
    _note(ends, contours, 0)
    for _ in range(rules.contour_length - 1):
        for i in range(2):
            if not _extend(rng, image, mask, dashes, contours[i], rules, rules.contour_contrast, weights):
                return False
    for i in range(2):
        _enter(mask, dashes.mask, contours[i])
    _note(ends, contours, 1)
    return True


@njit(cache=True)
def _distractor(rng, image, mask, dashes, rules, weights):
    """Draws one short contour; returns False, image and mask half drawn, if it did not come out."""
    contour = np.zeros(5, dtype=np.int64)
    direction, row, column = _seed(rng, mask, dashes, 1, rules.paddle_trials)
    if direction < 0:
        return False
    _start(
        image,
        dashes.dash[direction],
        dashes.tail_to_joint[direction],
        contour,
        direction,
        row,
        column,
        rules.distractor_contrast,
    )
    for _ in range(rules.distractor_length - 1):
        if not _extend(rng, image, mask, dashes, contour, rules, rules.distractor_contrast, weights):
            return False
    _enter(mask, dashes.mask, contour)
    return True


@njit(cache=True)
def _border(mask, padding):
    side = len(mask)
    for i in range(side):
        for j in range(side):
            mask[i, j] = min(i, j) < padding or max(i, j) >= side - padding


@njit(cache=True)
def draw_image(
    rng: np.random.Generator, dashes: Dashes, marker: np.ndarray, rules: Rules
) -> tuple[np.ndarray, int, np.ndarray]:
    """Returns an image (side, side) uint8, its label (1: both markers on one contour), and the ends (contour, tail or head, 2)."""
    weights, ends = np.zeros(len(dashes.angle)), np.zeros((2, 2, 2), dtype=np.int64)
    image = np.zeros((rules.side, rules.side), dtype=np.float32)
    mask = np.zeros((rules.side, rules.side), dtype=np.float32)
    while True:
        image.fill(0)
        _border(mask, rules.padding)
        if _two_contours(rng, image, mask, dashes, rules, ends, weights):
            break
    for _ in range(rules.n_distractors):
        for _ in range(rules.distractor_trials + 1):
            new_image, new_mask = image.copy(), mask.copy()
            if _distractor(rng, new_image, new_mask, dashes, rules, weights):
                image, mask = new_image, new_mask
                break
    label, origin = int(2 * rng.random()), int(2 * rng.random())
    terminal = origin if label == 1 else 1 - origin
    _stamp(image, marker, ends[origin, 0, 0], ends[origin, 0, 1], 1.0)
    _stamp(image, marker, ends[terminal, 1, 0], ends[terminal, 1, 1], 1.0)
    return (255 * (image / image.max()) + 0.5).astype(np.uint8), label, ends
