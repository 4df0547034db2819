"""The report of the selectivity experiments (P2 = arXiv 2410.14067, Section 5 and Table 3): accuracies, what is selective, time to learn.

Runs share a table only where everything but field, selectivity and seed is equal; each such variant has a section of its own.
"""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from ..config import canonical_json, flat
from ..errors import UserError
from ..tables import Table
from . import selectivity_tables as tables
from .collect import Record
from .options import DEFAULT, Options
from .page import Page, Pictures, open_page
from .reporters import SELECTIVITY
from .selectivity_learning import delays_of, time_to_learn
from .settings import grouped
from .summary import summary

TASKS = {"delay": "copy", "induction_head": "induction head"}


class Variant(NamedTuple):
    """What must be equal for runs to share a table: the config without field, selectivity and seed, as JSON."""

    task: str
    text: str
    config: str

    @classmethod
    def of(cls, record: Record) -> "Variant":
        """Raises UserError for a run that is none of this experiment."""
        c = record.config
        if not {"dataset", "train", "model", "seed"} <= set(c):
            raise UserError(
                f"{record.folder.path}: its config has no dataset, train and model, so it is no selectivity run"
            )
        left_out = ("ssm_type", "D_init", *tables.SWITCHES)
        model = {key: value for key, value in c["model"].items() if key not in left_out}
        how = "as published" if c["as_published"] else "default"
        text = (
            f"{TASKS[c['dataset']['name']]}, {size_of(record)}, up to {steps_of(record):,} steps "
            f"of {c['train']['batch_size']} sequences, {how}"
        )
        return cls(c["dataset"]["name"], text, canonical_json({**c, "model": model, "seed": None}))


def size_of(record: Record) -> str:
    """Returns the size of the task: its delay or its h."""
    data = record.config["dataset"]
    return f"delay {data['lag']}" if data["name"] == "delay" else f"h = {data['induction_len']}"


def steps_of(record: Record) -> int:
    """Returns how many steps the run was given."""
    data, train = record.config["dataset"], record.config["train"]
    steps = train["num_epochs"] * (data["epoch_size"] // train["batch_size"])
    return min(steps, train["max_steps"] or steps)


def report(
    folders: Sequence[Path] | Path,
    options: Options = DEFAULT,
    *,
    title_note: str = "",
    expected: int | None = None,
) -> str:
    """Writes selectivity.md, CSV files and pictures into `report/` below the folder and returns the text to print.

    Raises:
        UserError: no such runs there, a damaged run folder, or a folder that cannot be written to.
    """
    headline = "Selectivity: real against complex Mamba"
    with open_page(folders, SELECTIVITY, "Selectivity experiments", headline, options, expected=expected) as page:
        if title_note:
            page.note(title_note)
        variants = grouped(page.records, Variant.of)
        titles = {variant: variant.text + difference(variant, variants) for variant in sorted(variants)}
        for number, (variant, title) in enumerate(titles.items()):
            ending = f"{variant.task}{f'-{number}' if len(variants) > 1 else ''}"
            _section(page, title, variants[variant], ending)
        _learning(page)
        _files(page, {title: variants[variant] for variant, title in titles.items()})
        return page.finish()


def difference(variant: Variant, variants: Iterable[Variant]) -> str:
    """Returns the keys that tell a variant from others of the same title, such as ", model.embedding_std=0.02"; else nothing."""
    alike = [flat(json.loads(other.config)) for other in variants if other.text == variant.text]
    own = flat(json.loads(variant.config))
    return "".join(f", {key}={value}" for key, value in own.items() if any(other.get(key) != value for other in alike))


def _section(page: Page, title: str, runs: list[Record], ending: str) -> None:
    """Adds a variant's tables and curves; runs that are not finished count in what is read off their logs."""
    page.section(title, runs)
    done = [run for run in runs if run.done]
    if not done:
        page.note("no run is done yet")
    for make in (tables.accuracies, tables.interactions, tables.lengths):
        page.table(make, done)
    page.table(tables.milestones, runs)
    if page.options.runs:
        page.table(tables.single, done)
    page.pictures(ending, lambda: _curves(runs, ending))


def _curves(runs: list[Record], ending: str) -> Pictures:
    from .selectivity_figures import curves  # only where something is drawn

    figure = curves(runs)
    if figure is not None:
        text = "Held-out token accuracy over training; a thin line is a seed, dotted lines are the paper's final numbers (at its size)."
        yield f"curves-{ending}", figure, text


def _learning(page: Page) -> None:
    """How long learning takes against the delay, for runs that differ in the delay alone."""
    groups = delays_of(page.records)
    for number, runs in enumerate(groups):
        page.section("time to learn copy", runs)
        page.table(time_to_learn, runs)
        page.pictures(f"learning-{number}", lambda runs=runs, number=number: _survival(runs, number))


def _survival(runs: list[Record], number: int) -> Pictures:
    from .selectivity_figures import survival

    text = "Share of seeds that have not reached 90 % token accuracy yet (Kaplan and Meier); a tick ends a run that never did."
    yield f"time-to-learn{f'-{number}' if number else ''}", survival(runs), text


def _files(page: Page, titled: dict[str, list[Record]]) -> None:
    def joined(make, finished: bool = True) -> Table:
        made = [(title, make([r for r in runs if r.done or not finished])) for title, runs in titled.items()]
        made = [(title, table) for title, table in made if table.rows]
        columns = max((table.columns for _, table in made), key=len, default=[])
        rows = [[title, *row, *[None] * (len(columns) - len(row))] for title, table in made for row in table.rows]
        return Table(["variant", *columns], rows)

    page.csv("selectivity.csv", summary(page.records))
    page.csv("selectivity-means.csv", joined(tables.accuracies))
    page.csv("selectivity-runs.csv", joined(tables.single))
    page.csv("selectivity-milestones.csv", joined(tables.milestones, finished=False))
