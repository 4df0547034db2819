"""A report with a section for each setting of its runs: what the image experiments write."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from src.report.collect import Record, failures, gathered, progress
from src.report.seeds import describe, grouped, setting, slugs
from src.tables import Table
from src.tracking.files import atomic_write


@dataclass(frozen=True)
class Layout:
    """What a report is made of.

    Attributes:
        prefix: of the experiments that it is about, and of the files that it writes.
        title: on the terminal.
        headline: of the page.
        compared: keys of the config in which runs of one setting may differ.
        tables: by the ending of a table's file: its columns, and what makes it from the runs of a setting; the one without an
            ending is shown.
        figures: draws, given (runs, folder, ending of the names), and returns the captions.
    """

    prefix: str
    title: str
    headline: str
    compared: Iterable[str]
    tables: dict[str, tuple[list[str], Callable[[list[Record]], Table]]]
    figures: Callable[[list[Record], Path, str], dict[Path, str]]


def write_report(layout: Layout, folders: Sequence[Path] | Path, order: Callable[[Record], tuple] | None = None) -> str:
    """Writes a page, CSV tables and figures into `report/` below the folder and returns the text to print.

    Raises:
        UserError: no such runs there, or a folder that cannot be written to.
    """
    with gathered(folders, layout.prefix) as (records, out):
        head = [progress(records) + ".", *failures(records)]
        done = [record for record in records if record.done]
        return _write(layout, out, head, sorted(done, key=order) if order else done)


def _write(layout: Layout, out: Path, head: list[str], done: list[Record]) -> str:
    text, page = [layout.title, *head], [f"# {layout.headline}"]
    page += [part for line in head for part in ("", line)]
    rows: dict[str, list[list]] = {ending: [] for ending in layout.tables}
    settings = grouped(done, lambda record: setting(record.config, layout.compared))
    endings = slugs(runs[0].config for runs in settings.values())
    for runs, ending in zip(settings.values(), endings, strict=True):
        name = describe(runs[0].config)
        tables = {kind: make(runs) for kind, (_, make) in layout.tables.items()}
        text += ["", name, "", tables[""].text()]
        page += ["", f"## {name}", "", tables[""].markdown()]
        for kind, table in tables.items():
            rows[kind] += [[name, *row] for row in table.rows]
        for path, caption in layout.figures(runs, out, ending).items():
            page += ["", f"![{path.stem}]({path.name})", "", caption]
    atomic_write(out / f"{layout.prefix}.md", ("\n".join(page) + "\n").encode())
    for kind, (columns, _) in layout.tables.items():
        table = Table(["setting", *columns], rows[kind])
        atomic_write(out / f"{layout.prefix}{kind}.csv", table.csv().encode())
    return "\n".join([*text, "", f"Tables and figures: {out}"])
