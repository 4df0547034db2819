"""`.ts`: the text format of the UEA and UCR archives: lines of '@key value', then '@data' and a row a sequence.

A row has a channel after the other, parted by ':', each of values between commas, and last the label.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ...files import read_lines, reading, unusable
from .raw import MISSING, Gaps, Raw, numbers_or_text

LONGEST = 1 << 26  # characters of a row
EXPECTED = "a .ts file of the UEA and UCR archives"


def read(path: Path) -> Raw:
    """Returns the examples of a file.

    Raises:
        UserError: no such file, steps with time stamps, channels of different lengths, or a label that the header does not have.
    """
    lines = ((i, line.strip()) for i, line in enumerate(read_lines(path, LONGEST, EXPECTED), 1))
    lines = ((i, line) for i, line in lines if line and not line.startswith("#"))
    header = _header(path, lines)
    if header.get("timestamps", "false") != "false":
        raise unusable(
            path, "steps have time stamps, which are not read; bring a long table of id, time, channels and label"
        )
    is_number = header.get("targetlabel", "false").startswith("true")
    classes = header.get("classlabel", "false").split()
    if not is_number and classes[0] != "true":
        raise unusable(path, "has no labels (@classLabel or @targetLabel true)")
    series, labels, gaps = [], [], Gaps()
    for number, line in lines:
        *channels, label = line.split(":")
        series.append(_channels(path, number, channels, series, gaps))
        if not is_number and label.strip() not in classes[1:]:
            raise unusable(path, f"label '{label.strip()[:40]}' is not one of the header's classes", line=number)
        labels.append(label.strip())
    with reading(path, "a number as label in each row"):
        values = np.array([float(label) for label in labels]) if is_number else numbers_or_text(labels)
    names = tuple(f"channel {c}" for c in range(series[0].shape[1])) if series else ()
    return Raw("archive file", values, series, channels=names, gaps=gaps)


def _header(path: Path, lines: Iterator[tuple[int, str]]) -> dict[str, str]:
    """The keys before '@data', in small letters."""
    header = {}
    for number, line in lines:
        if not line.startswith("@"):
            raise unusable(path, f"expected '@key value', found '{line[:40]}'", line=number)
        key, _, value = line[1:].partition(" ")
        if key.lower() == "data":
            return header
        value = value.strip()
        header[key.lower()] = value if key.lower() == "classlabel" else value.lower()
    raise unusable(path, f"no '@data', expected {EXPECTED}")


def _channels(path: Path, number: int, channels: list[str], before: list[np.ndarray], gaps: Gaps) -> np.ndarray:
    """(L, C) values of a row."""
    with reading(Path(f"{path}:{number}"), "numbers between commas"):
        rows = [
            [np.nan if cell.strip().lower() in MISSING else float(cell) for cell in channel.split(",")]
            for channel in channels
        ]
    if not rows or (before and len(rows) != before[0].shape[1]):
        raise unusable(
            path,
            f"{len(rows)} channels and a label, expected {before[0].shape[1] if before else 'one or more'}",
            line=number,
        )
    if len({len(row) for row in rows}) > 1:
        raise unusable(path, "channels of different lengths", line=number)
    values = np.array(rows).T
    missing = np.argwhere(~np.isfinite(values))
    if missing.size:
        gaps.add(len(missing), f"line {number}, step {missing[0][0] + 1}")
    return values
