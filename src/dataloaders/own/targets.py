"""Labels: classes or numbers, and which examples are for training, validation and test."""

from typing import NamedTuple

import numpy as np

from ...errors import UserError
from .raw import SPLITS, Raw
from .split import stratified

MOST_CLASSES = 1000  # whole numbers that take more values are no classes


class Targets(NamedTuple):
    """Labels as a model needs them.

    y: (N,) int64 classes or float64 numbers in the user's unit; classes: names by number, None for numbers.
    """

    y: np.ndarray
    classes: tuple[str, ...] | None


def targets_of(raw: Raw, target: str) -> Targets:
    """Returns classes for text and for whole numbers of few values, numbers otherwise, or what `target` asks for.

    Raises:
        UserError: one class only, labels of which nearly each occurs once, or texts where numbers are asked for.
    """
    names, text = np.unique(raw.labels), raw.labels.dtype.kind == "U"
    if target == "auto":
        target = "number" if raw.labels.dtype.kind == "f" else "class"
        if target == "class" and len(names) > min(MOST_CLASSES, max(2, len(raw) // 2)):
            hint = "" if text else " or, for regression, dataset.target=number"
            raise UserError(
                f"{len(names):,} different labels of {len(raw):,} examples; give dataset.target=class{hint}"
            )
    if target == "number" and text:
        raise UserError(f"label '{names[0]}' is no number, but dataset.target=number")
    if len(names) < 2:
        raise UserError(f"every label is {names[0]}: there is nothing to learn")
    if target == "number":
        return Targets(raw.labels.astype(np.float64), None)
    return Targets(np.searchsorted(names, raw.labels), tuple(f"{name}" for name in names))


def parts_of(raw: Raw, targets: Targets, val_split: float, test_split: float, seed: int) -> dict[str, np.ndarray]:
    """Returns indices of train, val and test: the file's, or stratified random ones.

    Raises:
        UserError: a part is empty, or a class has no training example.
    """
    if raw.parts is None:
        val, test, train = stratified(targets.y, (val_split, test_split), seed)
        parts = {"train": train, "val": val, "test": test}
    else:
        parts = {name: np.sort(indices.astype(np.int64)) for name, indices in raw.parts.items()}
        if "val" not in parts:
            val, train = stratified(targets.y[parts["train"]], (val_split,), seed)
            parts |= {"train": parts["train"][train], "val": parts["train"][val]}
    sizes = " / ".join(f"{len(parts[name]):,}" for name in SPLITS)
    if not all(map(len, parts.values())):
        raise UserError(
            f"{len(raw):,} examples are split {sizes}; give more, or larger dataset.val_split and dataset.test_split"
        )
    if targets.classes is not None:
        missing = np.setdiff1d(np.arange(len(targets.classes)), targets.y[parts["train"]])
        if missing.size:
            raise UserError(
                f"class {targets.classes[missing[0]]} has no training example (split {sizes}); give more of it"
            )
    return parts
