"""`.csv` and `.tsv`: wide (a row a sequence) or long (a row a step: id, time, channels, label).

A long table has columns `id` and `time`. A wide one has a column for the label, and every other column is a time step, in order; cells
that are empty at the end of a row make it a shorter sequence. Without a header the label comes first, as in the files of the UCR archive.
"""

import csv
import itertools
import math
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import numpy as np

from ...errors import did_you_mean
from ...files import read_lines, reading, unusable
from .raw import MISSING, Gaps, Raw, numbers_or_text

LABELS = ("label", "class", "target", "y")
LONGEST = 1 << 26  # characters of a row
EXPECTED = "a table with one row a sequence, or with columns id and time"


def read(path: Path, label: str | None) -> Raw:
    """Returns the examples of a file.

    Args:
        label: the label's column; None takes the one called label, class, target or y, or the first where there is no header.

    Raises:
        UserError: no table, a row of another width, a cell that is no number, or a label that changes within a sequence.
    """
    rows = _rows(path)
    first = next(rows, None)
    if first is None:
        raise unusable(path, f"is empty, expected {EXPECTED}")
    number, cells = first
    if all(_is_number(cell) for cell in cells[1:]) and cells[0].strip().lower() not in (*LABELS, label):
        if label is not None:
            raise unusable(path, f"has no header, so no column '{label}'; the label comes first")
        return _wide(path, itertools.chain([first], rows), None, 0)
    names = [cell.strip() for cell in cells]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise unusable(path, f"two columns are called '{twice}'", line=number)
    if "id" in names and "time" not in names:
        raise unusable(
            path,
            "a column 'id' but none 'time'; in a wide table every column but the label's is a time step",
            line=number,
        )
    column = names.index(_label(path, names, label))
    return (_long if {"id", "time"} <= set(names) else _wide)(path, rows, names, column)


def _label(path: Path, names: list[str], label: str | None) -> str:
    if label is not None and label not in names:
        raise unusable(path, f"no column '{label}'{did_you_mean(label, names)}")
    found = [label] if label is not None else [name for name in names if name.lower() in LABELS]
    if len(found) != 1:
        columns = ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")
        raise unusable(path, f"which column is the label? name it with dataset.label; columns: {columns}")
    return found[0]


def _rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yields (line, cells); separated by tabs in a .tsv, and by what the first line has most of (, or ;) in a .csv."""
    lines = read_lines(path, LONGEST, EXPECTED)
    first = next(lines, "").removeprefix("\ufeff")  # spreadsheets begin a file with a mark
    delimiter = "\t" if path.suffix == ".tsv" else ";" if first.count(";") > first.count(",") else ","
    reader = csv.reader(itertools.chain([first], lines), delimiter=delimiter, strict=True)
    csv.field_size_limit(LONGEST)
    with reading(path, EXPECTED):
        for cells in reader:
            if cells and any(cell.strip() for cell in cells):
                yield reader.line_num, cells


def _is_number(cell: str) -> bool:
    if cell.strip().lower() in MISSING:
        return True
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _number(path: Path, line: int, cell: str, column: str) -> float:
    """Returns the number of a cell, NaN where it is missing."""
    text = cell.strip()
    if text.lower() in MISSING:
        return math.nan
    try:
        return float(text)
    except ValueError:
        raise unusable(path, f"{column}: expected a number, found '{text[:40]}'", line=line) from None


def _check_width(path: Path, line: int, cells: list[str], names: list[str]) -> None:
    if len(cells) != len(names):
        raise unusable(path, f"{len(cells)} cells, but {len(names)} columns", line=line)


def _wide(path: Path, rows: Iterator[tuple[int, list[str]]], names: list[str] | None, column: int) -> Raw:
    series, labels, gaps = [], [], Gaps()
    steps = names[:column] + names[column + 1 :] if names else None
    for line, cells in rows:
        if names is not None:
            _check_width(path, line, cells, names)
        labels.append(_label_of(path, line, cells[column]))
        own = cells[:column] + cells[column + 1 :]
        while own and own[-1].strip().lower() in ("", "nan"):  # a shorter sequence
            own.pop()
        name = (lambda i: f"step {i + 1}") if steps is None else steps.__getitem__
        values = np.array([_number(path, line, cell, name(i)) for i, cell in enumerate(own)])
        missing = np.flatnonzero(~np.isfinite(values))
        if missing.size:
            gaps.add(missing.size, f"line {line}, {name(missing[0])}")
        series.append(values[:, None])
    return Raw("wide table", numbers_or_text(labels), series, channels=("value",), gaps=gaps)


def _label_of(path: Path, line: int, cell: str) -> str:
    if cell.strip().lower() in MISSING:
        raise unusable(path, "no label", line=line)
    return cell.strip()


def _long(path: Path, rows: Iterator[tuple[int, list[str]]], names: list[str], column: int) -> Raw:
    key, clock = names.index("id"), names.index("time")
    channels = [i for i in range(len(names)) if i not in (key, clock, column)]
    if not channels:
        raise unusable(path, "no column besides id, time and the label")
    steps: dict[str, list[tuple[float, list[float]]]] = {}
    labels: dict[str, str] = {}
    gaps = Gaps()
    for line, cells in rows:
        _check_width(path, line, cells, names)
        own, label = cells[key].strip(), _label_of(path, line, cells[column])
        if labels.setdefault(own, label) != label:
            raise unusable(path, f"sequence '{own}' has label '{label}' here and '{labels[own]}' before", line=line)
        values = [_number(path, line, cells[i], names[i]) for i in channels]
        missing = np.flatnonzero(~np.isfinite(values))
        if missing.size:
            gaps.add(missing.size, f"line {line}, {names[channels[missing[0]]]}")
        steps.setdefault(own, []).append((_time(path, line, cells[clock]), values))
    series = [_in_order(path, own, found) for own, found in steps.items()]
    columns = tuple(names[i] for i in channels)
    return Raw("long table", numbers_or_text(list(labels.values())), series, channels=columns, gaps=gaps)


def _time(path: Path, line: int, cell: str) -> float:
    """A number, or a date and time in ISO form as seconds."""
    for read_one in (float, lambda text: datetime.fromisoformat(text).timestamp()):
        try:
            time = read_one(cell.strip())
        except (ValueError, OverflowError):
            continue
        if math.isfinite(time):
            return time
    raise unusable(path, f"time: expected a number or a date, found '{cell[:40]}'", line=line)


def _in_order(path: Path, own: str, steps: list[tuple[float, list[float]]]) -> np.ndarray:
    """(L, C) values of a sequence by time."""
    steps.sort(key=lambda step: step[0])
    twice = next((a[0] for a, b in itertools.pairwise(steps) if a[0] == b[0]), None)
    if twice is not None:
        raise unusable(path, f"sequence '{own}' has two rows at time {twice:g}")
    return np.array([values for _, values in steps])
