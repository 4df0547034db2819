"""The report of the theory experiment (P2 = arXiv 2410.14067, Section 4.1): tables, bounds and figures of one or both fields."""

from collections.abc import Sequence
from pathlib import Path

from ..tables import Table
from .collect import Record
from .options import DEFAULT, Options
from .page import Page, open_page
from .reporters import THEORY
from .settings import grouped
from .summary import summary
from .theory_frontier import excesses, prices, reached, runs_table
from .theory_steps import durations
from .theory_tables import Variant, errors, only, targets_of_seeds

_FRONTIER = {"reached": reached, "prices": prices, "excess": excesses, "steps": durations}


def report(
    folders: Sequence[Path] | Path,
    options: Options = DEFAULT,
    *,
    title_note: str = "",
    expected: int | None = None,
) -> str:
    """Writes tables and figures into `report/` below the folder (the common one, of several) and returns the text to print.

    Files: summary.csv, frontier.csv (one row a run), table.md, table.csv, reached.csv, prices.csv, excess.csv, steps.csv, figures.
    Works on what is there: an unfinished sweep gives tables of the finished runs and says how many they are.

    Args:
        folders: experiments' folders, or folders that hold them.
        title_note: a sentence put under the title.
        expected: how many runs were asked for, when the caller knows it.

    Raises:
        UserError: no theory runs there, a damaged run folder, or a folder that cannot be written to.
    """
    headline = "Theory experiment: real against complex diagonal SSMs"
    with open_page(folders, THEORY, "Theory experiment", headline, options, name="table", expected=expected) as page:
        if title_note:
            page.note(title_note)
        variants = grouped(page.records, Variant.of)
        error_rows, parts = [], {name: [] for name in _FRONTIER}
        for variant in sorted(variants, key=lambda v: (not v.zero_grad, v)):
            runs = variants[variant]
            page.section(str(variant), runs)
            error_rows += [(variant, field, table) for field, table in _tables(page, runs)]
            page.table(targets_of_seeds, runs)
            for name, table in _FRONTIER.items():
                parts[name].append((variant, None, page.table(table, runs, kept=f"{name} {variant.slug}")))
            if any(record.done for record in runs):
                ending = f"-{variant.slug}" if len(variants) > 1 else ""
                page.pictures(variant.slug, lambda runs=runs, ending=ending: _pictures(runs, ending))
        page.csv("summary.csv", summary(page.records))
        page.csv("table.csv", joined(error_rows))
        page.csv("frontier.csv", runs_table(page.records))
        for name, tables in parts.items():
            page.csv(f"{name}.csv", joined(tables))
        return page.finish()


def _tables(page: Page, runs: list[Record]) -> list[tuple[str, Table]]:
    """The errors of each field that has runs."""
    found = []
    for field, name in ((False, "real"), (True, "complex")):
        own = only(runs, complex_option=field)
        if own:
            found.append((name, page.table(lambda records, field=field: errors(records, field), own)))
    return found


def _pictures(runs: list[Record], ending: str):
    from .theory_figures import pictures  # these import what draws: only where something is drawn
    from .theory_plane import planes
    from .theory_steps_figure import pictures as steps

    yield from planes(runs, ending)
    yield from pictures(runs, ending)
    yield from steps(runs, ending)


def joined(parts: list[tuple[Variant, str | None, Table]]) -> Table:
    """The tables of all variants as one, each row led by its variant (and field); a column that a variant has not is empty there."""
    lead = [*Variant._fields, *(["field"] if any(field for _, field, _ in parts) else [])]
    columns = list(dict.fromkeys(column for _, _, table in parts for column in table.columns))
    rows = []
    for variant, field, table in parts:
        for row in table.rows:
            named = dict(zip(table.columns, row, strict=True))
            rows.append([*variant, *([field] if field else []), *map(named.get, columns)])
    return Table([*lead, *columns], rows)
