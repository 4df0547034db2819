"""A table once, written three ways: aligned text for a terminal, Markdown for a page, CSV for a program."""

import csv
import io
import math
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

WIDTH, LINES = 100, 40  # what a table takes of a terminal unless it is asked for in full
_SHORTEST = 16  # characters that a long text keeps at least

Cells = list[list[str]]


@dataclass
class Table:
    """Rows of plain values under named columns; `title` and `notes` go above and below the table, not into the CSV.

    Attributes:
        rows: a cell is a text, a number, None (absent), or a number with an interval (anything with value, low and high).
        grouped: a repeated value in one of the first so many columns is left out for the eye (not in the CSV).
        best: columns in which the largest ("max") or the smallest ("min") of several values is marked: * in text, bold in Markdown.
    """

    columns: Sequence[str]
    rows: list[Sequence[Any]] = field(default_factory=list)
    title: str = ""
    notes: Sequence[str] = ()
    grouped: int = 0
    best: Mapping[str, Literal["max", "min"]] = field(default_factory=dict)

    def text(self, full: bool = False) -> str:
        """Aligned by column, numbers to the right; unless `full` it fits a terminal and says what it left out."""
        kept = self._shown_columns()
        table = self._cells(kept, lambda cell: f"{cell}*")
        hidden = [] if full else _narrow(table)
        notes = list(self.notes) if full else [line for note in self.notes for line in textwrap.wrap(note, WIDTH)]
        if hidden:
            notes.append(f"not shown (--full does): {', '.join(hidden)}"[:WIDTH])
        room = max(1, LINES - len(notes) - 3 - bool(self.title))
        if not full and len(table) - 1 > room + 1:
            notes.insert(0, f"... and {len(table) - 1 - room:,} more rows (--full shows them)")
            del table[room + 1 :]
        right = [self._is_number_column(i) for i in kept]
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        lines = [_line(row, widths, right) for row in table]
        lines.insert(1, "  ".join("-" * width for width in widths))
        return "\n".join([*([self.title] if self.title else []), *lines, *notes])

    def markdown(self) -> str:
        """A pipe table; the title in bold above it, one paragraph a note below it."""
        kept = self._shown_columns()
        head, *body = self._cells(kept, lambda cell: f"**{cell}**")
        rule = ["---:" if self._is_number_column(i) else "---" for i in kept]
        lines = ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in [head, rule, *body]]
        title = [f"**{self.title}**", ""] if self.title else []
        return "\n".join([*title, *lines, *[line for note in self.notes for line in ("", note)]])

    def csv(self) -> str:
        """Full precision; an absent value is an empty field; a number with an interval takes three columns."""
        wide = [any(_has_interval(row[i]) for row in self.rows) for i in range(len(self.columns))]
        buffer = io.StringIO()
        writer = csv.writer(buffer, lineterminator="\n")
        parts = [[name, *([f"{name} low", f"{name} high"] * w)] for name, w in zip(self.columns, wide, strict=True)]
        writer.writerow([name for part in parts for name in part])
        for row in self.rows:
            writer.writerow([x for value, w in zip(row, wide, strict=True) for x in _fields(value, w)])
        return buffer.getvalue()

    def _shown_columns(self) -> list[int]:
        """The columns that hold anything (all of them where there is no row)."""
        kept = [i for i in range(len(self.columns)) if any(row[i] not in (None, "", "-") for row in self.rows)]
        return kept if self.rows and kept else list(range(len(self.columns)))

    def _is_number_column(self, i: int) -> bool:
        return all(row[i] is None or _number(row[i]) is not None for row in self.rows)

    def _cells(self, kept: list[int], mark) -> Cells:
        """Head and rows as texts, the best marked, repeated names left out."""
        columns = [[self.columns[i], *self._column(i, mark)] for i in kept]
        table = [list(row) for row in zip(*columns, strict=True)]
        grouped = sum(i < self.grouped for i in kept)
        for i in range(len(table) - 1, 1, -1):
            for j in reversed(range(grouped)):
                if table[i][: j + 1] == table[i - 1][: j + 1]:
                    table[i][j] = ""
        return table

    def _column(self, i: int, mark) -> list[str]:
        cells = [format_value(row[i]) for row in self.rows]
        sense = self.best.get(self.columns[i])
        numbers = [_number(row[i]) for row in self.rows]
        known = [x for x in numbers if x is not None and math.isfinite(x)]
        if sense is None or len(known) < 2:
            return cells
        top = max(known) if sense == "max" else min(known)
        marked = [mark(cell) if x == top else cell for cell, x in zip(cells, numbers, strict=True)]
        blank = " " * (len(mark("")) == 1)  # a star stands beside its number, so that digits stay in line
        return [cell if x == top else cell + blank for cell, x in zip(marked, numbers, strict=True)]


def format_value(value: Any) -> str:
    """Three significant digits for a float, thousands separated for an integer, a dash for None.

    A number with an interval is "81.23 ± 0.54" to two digits of the half width, or "12 [9, 31]" where its sides differ.
    """
    if value is None:
        return "-"
    if _has_interval(value):
        return _with_interval(value.value, value.low, value.high)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return str(value)
    if isinstance(value, int):
        return f"{value:,}"
    if value == 0 or not math.isfinite(value) or 1e-3 <= abs(value) < 1e4:
        return f"{value:.3g}" if abs(value) < 1000 or not math.isfinite(value) else f"{value:,.0f}"
    return f"{value:.2e}"


def _with_interval(value: float, low: float, high: float) -> str:
    if math.isnan(low) or math.isnan(high):
        return f"{value:.2f}" if 1 <= abs(value) < 1000 else format_value(value)
    width = (high - low) / 2
    if width == 0:
        return f"{format_value(value)} ± 0"
    if not math.isfinite(width):
        return f"{format_value(value)} [{format_value(low)}, {format_value(high)}]"
    decimals = min(6, max(0, 1 - math.floor(math.log10(width))))
    if math.isclose(high - value, value - low, rel_tol=1e-6, abs_tol=1e-12):
        return f"{value:,.{decimals}f} ± {width:,.{decimals}f}"
    return f"{value:,.{decimals}f} [{low:,.{decimals}f}, {high:,.{decimals}f}]"


def _narrow(table: Cells) -> list[str]:
    """Makes head and rows fit the width, in place: long texts are cut, then columns go from the right; returns their names."""

    def widths() -> list[int]:
        return [max(map(len, column)) for column in zip(*table, strict=True)]

    while sum(widths()) + 2 * (len(table[0]) - 1) > WIDTH:
        longest = max(range(len(table[0])), key=lambda i: widths()[i])
        room = widths()[longest] - (sum(widths()) + 2 * (len(table[0]) - 1) - WIDTH)
        if widths()[longest] <= 2 * _SHORTEST:
            break
        for row in table:
            row[longest] = _cut(row[longest], max(room, 2 * _SHORTEST))
    hidden: list[str] = []
    while sum(widths()) + 2 * (len(table[0]) - 1) > WIDTH and len(table[0]) > 1:
        hidden.insert(0, table[0][-1])
        for row in table:
            row.pop()
    return hidden


def _cut(text: str, width: int) -> str:
    """Keeps both ends: what tells two settings apart often stands last."""
    if len(text) <= width:
        return text
    end = (width - 1) // 2
    return f"{text[: width - 1 - end]}…{text[-end:]}"


def _line(row: list[str], widths: list[int], right: list[bool]) -> str:
    cells = [
        cell.rjust(width) if number else cell.ljust(width)
        for cell, width, number in zip(row, widths, right, strict=False)
    ]
    return "  ".join(cells).rstrip()


def _has_interval(value: Any) -> bool:
    return all(hasattr(value, name) for name in ("value", "low", "high"))


def _number(value: Any) -> float | None:
    if _has_interval(value):
        return value.value
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _fields(value: Any, wide: bool) -> list[Any]:
    if _has_interval(value):
        return ["" if math.isnan(x) else x for x in (value.value, value.low, value.high)]
    return ["" if value is None else value, *([""] * 2 * wide)]
