"""The report of the theory experiment (P2 = arXiv 2410.14067, Section 4.1): tables, bounds and figures of one or both fields."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from src.report.collect import Record, failures, gathered, progress
from src.report.tables import Table, summary
from src.report.theory_figures import figures
from src.report.theory_tables import Variant, bounds, errors, only
from src.tracking.files import atomic_write

PREFIX = "theory"


def report(folders: Sequence[Path] | Path, *, title_note: str = "", expected: int | None = None) -> str:
    """Writes tables and figures into `report/` below the folder (the common one, of several) and returns the text to print.

    Files: summary.csv (one row a run), table.md, table.csv, bounds.csv, and PNG figures. Works on what is there: an unfinished sweep
    gives tables of the finished runs and says how many they are.

    Args:
        folders: experiments' folders, or folders that hold them.
        title_note: a sentence put under the title.
        expected: how many runs were asked for, when the caller knows it.

    Raises:
        UserError: no theory runs there, a damaged run folder, or a folder that cannot be written to.
    """
    with gathered(folders, PREFIX) as (records, out):
        head = [title_note] if title_note else []
        head += [progress(records, expected) + ".", *failures(records)]
        return _write(out, _by_variant(records), head, records)


def _by_variant(records: Iterable[Record]) -> dict[Variant, list[Record]]:
    variants: dict[Variant, list[Record]] = {}
    for record in records:
        variants.setdefault(Variant.of(record), []).append(record)
    return dict(sorted(variants.items(), key=lambda item: (not item[0].zero_grad, item[0])))


def _write(out: Path, variants: dict[Variant, list[Record]], head: list[str], records: list[Record]) -> str:
    text = ["Theory experiment", *head]
    page = ["# Theory experiment: real against complex diagonal SSMs", *[line for part in head for line in ("", part)]]
    error_rows, bound_rows = [], []
    for variant, runs in variants.items():
        tables = [(field, errors(only(runs, complex_option=field), field)) for field in (False, True)]
        tables = [(field, table) for field, table in tables if table.rows]
        bound = bounds(runs)
        text += ["", f"== {variant} =="]
        page += ["", f"## {str(variant).capitalize()}"]
        for table in [table for _, table in tables] + [bound] * bool(bound.rows):
            text += ["", table.text()]
            page += ["", table.markdown()]
        error_rows += [(variant, "complex" if field else "real", table) for field, table in tables]
        bound_rows += [(variant, None, bound)]
        if any(record.done for record in runs):
            paths = figures(runs, out, f"-{variant.slug}" if len(variants) > 1 else "")
            page += [
                line for path, caption in paths.items() for line in ("", f"![{path.stem}]({path.name})", "", caption)
            ]
    files = {
        "summary.csv": summary(records).csv(),
        "table.csv": _joined(error_rows).csv(),
        "bounds.csv": _joined(bound_rows).csv(),
        "table.md": "\n".join(page) + "\n",
    }
    for name, content in files.items():
        atomic_write(out / name, content.encode())
    return "\n".join([*text, "", f"Tables and figures: {out}"])


def _joined(parts: list[tuple[Variant, str | None, Table]]) -> Table:
    """The tables of all variants as one, each row led by its variant (and field)."""
    lead = [*Variant._fields, *(["field"] if any(field for _, field, _ in parts) else [])]
    rows = [[*variant, *([field] if field else []), *row] for variant, field, table in parts for row in table.rows]
    return Table([*lead, *(parts[0][2].columns if parts else [])], rows)
