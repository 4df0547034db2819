"""A report with a section for each setting of its runs: what the image experiments write."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..tables import Table
from .collect import Record
from .options import Options
from .page import Page, Pictures, open_page
from .settings import data_line, describe, grouped, setting, slugs

Make = Callable[[list[Record]], Table]


@dataclass(frozen=True)
class Layout:
    """What a report is made of.

    Attributes:
        prefix: of the experiments that it is about, and of the files that it writes.
        title: on the terminal.
        headline: of the page.
        compared: keys of the config in which runs of one setting may differ.
        shown: makes a table of the runs of a setting, which is printed and becomes `<prefix>.csv`.
        further: what else is shown below it.
        single: makes the table of single runs, `<prefix>-runs.csv`, printed where it is asked for.
        files: more tables that are only written, by the ending of their file.
        pictures: draws, given (runs, ending of the names).
        order: of the runs.
    """

    prefix: str
    title: str
    headline: str
    compared: Iterable[str]
    shown: Make
    single: Make
    pictures: Callable[[list[Record], str], Pictures]
    further: Sequence[Make] = ()
    files: Sequence[tuple[str, Make]] = ()
    order: Callable[[Record], tuple] | None = None


def write_report(layout: Layout, folders: Sequence[Path] | Path, options: Options, expected: int | None = None) -> str:
    """Writes a page, CSV tables and pictures into `report/` below the folder and returns the text to print.

    Raises:
        UserError: no such runs there, or a folder that cannot be written to.
    """
    with open_page(folders, layout.prefix, layout.title, layout.headline, options, expected=expected) as page:
        done = [as_asked(record) for record in page.records if record.done]
        done = sorted(done, key=layout.order) if layout.order else done
        groups = grouped(done, lambda record: setting(record.config, layout.compared))
        endings = slugs(runs[0].config for runs in groups.values())
        for runs, ending in zip(groups.values(), endings, strict=True):
            _section(layout, page, runs, ending)
        files = [("", layout.shown), ("-runs", layout.single), *layout.files]
        for ending, make in files:
            page.csv(f"{layout.prefix}{ending}.csv", _joined(make, groups.values()))
        return page.finish()


def as_asked(record: Record) -> Record:
    """Returns a run of P1's scripts by the short keys that its script was asked with; `rest` is what else is no matter of its layer.

    Runs of earlier versions have only short keys, with `val_accuracy` for `val/accuracy`; only the figures of E are added.
    """
    if "asked" not in record.config:
        return replace(record, result=record.result | _figures(record.result))
    rest = {key: value for key, value in record.config.items() if key not in ("asked", "contents", "reference")}
    rest["model"] = {key: value for key, value in rest["model"].items() if key != "layer"}
    rest["train"] = {key: value for key, value in rest["train"].items() if key != "seed"}
    asked = record.config["asked"]
    result = {name.replace("/", "_"): value for name, value in record.result.items()}
    for name in ("test", "noisy"):  # after the last epoch, whether or not the test set was measured after every one
        if f"{name}@last_accuracy" in result:
            result[f"{name}_accuracy"] = result[f"{name}@last_accuracy"]
    result |= _figures(result if asked.get("perturbation") else {})
    return replace(record, config={**asked, "rest": rest}, result=result)


def _figures(result: Mapping[str, Any]) -> dict[str, float | None]:
    """The figures of E, as trained and as found, of what is varied: a baseline has none, though S4D is E = P P^T."""
    names = ("size", "cond", "max_real")
    trained = {f"E_{name}": result.get(f"E_{name}") for name in names}
    return trained | {f"E_found_{name}": result.get(f"E_found_{name}", trained[f"E_{name}"]) for name in names}


def _section(layout: Layout, page: Page, runs: list[Record], ending: str) -> None:
    page.section(describe(runs[0].config), runs)
    page.table(lambda own: _with_data(layout.shown(own), own), runs)
    for make in layout.further:
        page.table(make, runs)
    if page.options.runs:
        page.table(layout.single, runs)
    page.pictures(ending, lambda: layout.pictures(runs, ending))


def _with_data(table: Table, runs: list[Record]) -> Table:
    """The table with a note on the data; runs of earlier versions kept none."""
    lines = dict.fromkeys(data_line(run.result) for run in runs if "data" in run.result)
    return replace(table, notes=[*table.notes, *lines])


def _joined(make: Make, groups: Iterable[list[Record]]) -> Table:
    """The tables of all settings as one, each row led by its setting."""
    made = [(describe(runs[0].config), make(runs)) for runs in groups]
    columns = made[0][1].columns if made else make([]).columns
    return Table(["setting", *columns], [[name, *row] for name, table in made for row in table.rows])
