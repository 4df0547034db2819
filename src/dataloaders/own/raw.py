"""What a user's file holds, before anything is decided about it."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ...files import unusable

MISSING = frozenset({"", "nan", "na", "n/a", "null", "none", "?"})  # cells that stand for no number, in any case
SPLITS = ("train", "val", "test")


@dataclass
class Gaps:
    """Numbers that are missing or not finite: how many, and where the first is."""

    count: int = 0
    first: str = ""

    def add(self, count: int, where: str) -> None:
        """Counts more of them, the first of which is `where`."""
        self.first = self.first or where
        self.count += count


@dataclass(frozen=True)
class Raw:
    """Examples in the order of the file.

    Attributes:
        kind: of the file, for people, such as "wide table".
        series: sequences, each (L, C) float64; None for texts.
        texts: texts; None for series.
        labels: (N,) text, whole numbers or numbers.
        channels: names of the C columns.
        gaps: missing numbers; a set that has any is refused.
        parts: indices of the examples of 'train', 'test' and perhaps 'val', where the file says so.
    """

    kind: str
    labels: np.ndarray
    series: list[np.ndarray] | None = None
    texts: list[str] | None = None
    channels: tuple[str, ...] = ()
    gaps: Gaps = field(default_factory=Gaps)
    parts: dict[str, np.ndarray] | None = None

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def lengths(self) -> np.ndarray:
        """(N,) steps or characters of each example."""
        return np.array(
            [len(example) for example in (self.series if self.texts is None else self.texts)], dtype=np.int64
        )


def numbers_or_text(labels: list[str]) -> np.ndarray:
    """Returns labels that were read as text: whole numbers if all are, else numbers if all are, else text."""
    try:
        numbers = np.array([float(label) for label in labels])
    except ValueError:
        return np.array(labels)
    return tidy_labels(numbers) if np.isfinite(numbers).all() else np.array(labels)


def tidy_labels(labels: np.ndarray) -> np.ndarray:
    """Returns labels as text, int64 or float64: numbers that all are whole become whole numbers."""
    if labels.dtype.kind in "US":
        return labels.astype(str)
    if labels.dtype.kind in "biu":
        return labels.astype(np.int64)
    whole = np.abs(labels).max(initial=0) < 2**53 and (labels == np.round(labels)).all()
    return labels.astype(np.int64 if whole else np.float64)


def join(train: Raw, test: Raw, path: Path) -> Raw:
    """Returns two files as one set whose split they are. Raises UserError if they do not hold the same kind of examples."""
    if (train.kind, train.channels) != (test.kind, test.channels):
        found = f"a {test.kind} of {len(test.channels)} channels"
        raise unusable(path, f"{found}, but the training file is a {train.kind} of {len(train.channels)}")
    if train.labels.dtype.kind != test.labels.dtype.kind and "U" in (train.labels.dtype.kind, test.labels.dtype.kind):
        raise unusable(path, "labels are text in one of the two files and numbers in the other")
    n = len(train)
    return Raw(
        kind=train.kind,
        labels=np.concatenate([train.labels, test.labels]),
        series=None if train.series is None else train.series + test.series,
        texts=None if train.texts is None else train.texts + test.texts,
        channels=train.channels,
        gaps=Gaps(train.gaps.count + test.gaps.count, train.gaps.first or f"{path}: {test.gaps.first}"),
        parts={"train": np.arange(n), "test": np.arange(n, n + len(test))},
    )


def check_raw(path: Path, raw: Raw) -> None:
    """Raises UserError for a file without examples, an example without steps, or a missing number; says where."""
    if len(raw) == 0:
        raise unusable(path, "no examples")
    if raw.gaps.count:
        more = f" (and {raw.gaps.count - 1:,} more)" if raw.gaps.count > 1 else ""
        raise unusable(
            path, f"missing or not finite: {raw.gaps.first}{more}", "fill them in or leave these sequences out"
        )
    empty = np.flatnonzero(raw.lengths == 0)
    if empty.size:
        raise unusable(path, f"example {empty[0] + 1} is empty")


def check_parts(path: Path, parts: dict[str, np.ndarray], n: int) -> None:
    """Raises UserError unless the indices of the parts are in range and no example is in two of them."""
    for name, indices in parts.items():
        if indices.ndim != 1 or indices.dtype.kind not in "iu" or indices.size == 0:
            raise unusable(path, f"'{name}' is not a list of indices of examples")
        if indices.min() < 0 or indices.max() >= n:
            raise unusable(
                path, f"'{name}' has index {indices.max() if indices.max() >= n else indices.min()} of {n:,} examples"
            )
    together = np.concatenate(list(parts.values()))
    if len(np.unique(together)) < len(together):
        raise unusable(path, "an example is in two of the splits, or twice in one")
    if not {"train", "test"} <= parts.keys():
        raise unusable(path, f"indices of {' and '.join(parts)}, expected train and test, and val if you like")
