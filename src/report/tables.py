"""A table once, written three ways: aligned text for a terminal, Markdown for a page, CSV for a program."""

import csv
import io
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from src.report.collect import Record


@dataclass
class Table:
    """Rows of plain values under named columns; `title` and `notes` go above and below the table, not into the CSV.

    A repeated value in one of the first `grouped` columns is left out for the eye (not in the CSV).
    """

    columns: Sequence[str]
    rows: list[Sequence[Any]] = field(default_factory=list)
    title: str = ""
    notes: Sequence[str] = ()
    grouped: int = 0

    def text(self) -> str:
        """Aligned by column, numbers to the right."""
        cells = [list(self.columns), *self._cells()]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        right = [all(_is_number(row[i]) for row in self.rows) for i in range(len(self.columns))]
        lines = ["  ".join(_pad(*parts) for parts in zip(row, widths, right, strict=True)).rstrip() for row in cells]
        lines.insert(1, "  ".join("-" * width for width in widths))
        return "\n".join([*([self.title] if self.title else []), *lines, *self.notes])

    def markdown(self) -> str:
        """A pipe table; the title in bold above it, one paragraph a note below it."""
        rule = ["---:" if all(_is_number(row[i]) for row in self.rows) else "---" for i in range(len(self.columns))]
        body = [self.columns, rule, *self._cells()]
        lines = ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in body]
        title = [f"**{self.title}**", ""] if self.title else []
        return "\n".join([*title, *lines, *[line for note in self.notes for line in ("", note)]])

    def _cells(self) -> list[list[str]]:
        cells = [[format_value(value) for value in row] for row in self.rows]
        for i in range(len(cells) - 1, 0, -1):
            for j in reversed(range(self.grouped)):
                if cells[i][: j + 1] == cells[i - 1][: j + 1]:
                    cells[i][j] = ""
        return cells

    def csv(self) -> str:
        """Full precision; an absent value is an empty field."""
        buffer = io.StringIO()
        writer = csv.writer(buffer, lineterminator="\n")
        writer.writerow(self.columns)
        writer.writerows(["" if value is None else value for value in row] for row in self.rows)
        return buffer.getvalue()


def format_value(value: Any) -> str:
    """Three significant digits for a float, thousands separated for an integer, a dash for None."""
    if value is None:
        return "-"
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return str(value)
    if isinstance(value, int):
        return f"{value:,}"
    if value == 0 or not math.isfinite(value) or 1e-3 <= abs(value) < 1e4:
        return f"{value:.3g}" if abs(value) < 1000 or not math.isfinite(value) else f"{value:,.0f}"
    return f"{value:.2e}"


def _is_number(value: Any) -> bool:
    return value is None or (isinstance(value, (int, float)) and not isinstance(value, bool))


def _pad(cell: str, width: int, right: bool) -> str:
    return cell.rjust(width) if right else cell.ljust(width)


def summary(records: Iterable[Record]) -> Table:
    """One row a run: experiment, key, state, message, then every config key and every plain value of the results."""
    records = list(records)
    configs = _keys(record.config for record in records)
    results = [key for key in _keys(record.result for record in records) if key not in configs]
    rows = [
        [
            record.experiment,
            record.key,
            record.state,
            record.message,
            *[record.config.get(key) for key in configs],
            *[record.result.get(key) for key in results],
        ]
        for record in records
    ]
    return Table(["experiment", "key", "state", "message", *configs, *results], rows)


def _keys(mappings: Iterable[dict[str, Any]]) -> list[str]:
    return list(dict.fromkeys(key for mapping in mappings for key in mapping))
