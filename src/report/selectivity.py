"""The report of the selectivity experiments (P2 = arXiv 2410.14067, Section 5): accuracies by seed, Table 3, curves of training.

Runs share a table only where everything but field, selectivity and seed is equal; each such variant has tables of its own.
"""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from src.config import canonical_json
from src.errors import UserError
from src.report import style
from src.report.collect import Record, failures, gathered, progress
from src.report.summary import summary
from src.tables import Table
from src.tracking.files import atomic_write

PREFIX = "selectivity"
SWITCHES = ("B_is_selective", "C_is_selective", "dt_is_selective")
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
        model = {key: value for key, value in c["model"].items() if key not in ("ssm_type", "D_init", *SWITCHES)}
        data, train = c["dataset"], c["train"]
        size = f"delay {data['lag']}" if data["name"] == "delay" else f"h = {data['induction_len']}"
        steps = train["num_epochs"] * (data["epoch_size"] // train["batch_size"])
        steps = min(steps, train["max_steps"] or steps)
        how = "as published" if c["as_published"] else "default"
        text = f"{TASKS[data['name']]}, {size}, up to {steps:,} steps of {train['batch_size']} sequences, {how}"
        return cls(data["name"], text, canonical_json({**c, "model": model, "seed": None}))


def report(folders: Sequence[Path] | Path, *, title_note: str = "", expected: int | None = None) -> str:
    """Writes summary.csv, table.md and curves as PNG into `report/` below the folder and returns the text to print.

    Raises:
        UserError: no such runs there, a damaged run folder, or a folder that cannot be written to.
    """
    with gathered(folders, PREFIX) as (records, out):
        head = [line for line in (title_note, f"{progress(records, expected)}.", *failures(records)) if line]
        text, page = ["Selectivity experiments", *head], ["# Selectivity: real against complex Mamba", "", *head]
        variants: dict[Variant, list[Record]] = {}
        for record in records:
            variants.setdefault(Variant.of(record), []).append(record)
        for number, (variant, runs) in enumerate(sorted(variants.items())):
            name = f"curves-{variant.task}{f'-{number}' if len(variants) > 1 else ''}.png"
            _section(
                variant.text + difference(variant, variants), [run for run in runs if run.done], out / name, text, page
            )
        atomic_write(out / "selectivity.csv", summary(records).csv().encode())
        atomic_write(out / "selectivity.md", ("\n".join(page) + "\n").encode())
    return "\n".join([*text, "", f"Tables and figures: {out}"])


def difference(variant: Variant, variants: Iterable[Variant]) -> str:
    """Returns the keys that tell a variant from others of the same title, such as ", model.embedding_std=0.02"; else nothing."""
    alike = [_flat(json.loads(other.config)) for other in variants if other.text == variant.text]
    own = _flat(json.loads(variant.config))
    return "".join(f", {key}={value}" for key, value in own.items() if any(other.get(key) != value for other in alike))


def _flat(config: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in config.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return flat


def _section(title: str, done: list[Record], picture: Path, text: list[str], page: list[str]) -> None:
    """Adds a variant's tables to `text` and `page` and draws its curves."""
    text += ["", f"== {title} =="]
    page += ["", f"## {title[0].upper()}{title[1:]}"]
    if not done:
        text.append("no run is done yet")
        return
    for table in (ranges(done), seeds(done), *lengths(done)):
        text += ["", table.text()]
        page += ["", table.markdown()]
    with style.style():
        style.save(curves(done), picture)
    page += ["", f"![Held-out accuracy over training]({picture.name})"]


def selective(record: Record) -> str:
    """Which of B, C and dt depend on the input."""
    names = [name.removesuffix("_is_selective") for name in SWITCHES if record.config["model"][name]]
    return ", ".join(names) or "none"


def ranges(records: Sequence[Record]) -> Table:
    """P2's Table 3: one row a combination of selective parts, the lowest and highest test accuracy over seeds for each field."""
    kinds = sorted({record.config["model"]["ssm_type"] for record in records}, reverse=True)
    rows = []
    for combination in sorted({_switches(record) for record in records}, reverse=True):
        row: list[Any] = ["yes" if on else "-" for on in combination]
        for kind in kinds:
            own = [r for r in records if _switches(r) == combination and r.config["model"]["ssm_type"] == kind]
            row += [_range([100 * r.result["test/accuracy"] for r in own]), len(own)]
        rows.append(row)
    columns = [
        "B selective",
        "C selective",
        "dt selective",
        *[name for kind in kinds for name in (f"{kind} %", "seeds")],
    ]
    chance = 100 * records[0].result["chance"]
    note = f"Token accuracy on {records[0].config['test_size']:,} held-out examples, lowest to highest seed; chance is {chance:.2f} %."
    return Table(columns, rows, "Test accuracy by what is selective", [note])


def _switches(record: Record) -> tuple[bool, ...]:
    return tuple(record.config["model"][name] for name in SWITCHES)


def _range(values: Sequence[float]) -> str:
    if not values:
        return "-"
    low, high = min(values), max(values)
    return f"{low:.2f}" if len(values) == 1 else f"{low:.2f} - {high:.2f}"


def seeds(records: Sequence[Record]) -> Table:
    """One row a run."""
    rows = []
    for record in sorted(
        records, key=lambda r: (_switches(r), r.config["model"]["ssm_type"], r.config["seed"]), reverse=True
    ):
        result = record.result
        accuracies = [
            100 * result[f"test/{name}"]
            for name in ("accuracy", "sequence_accuracy", "first_token_accuracy", "last_token_accuracy")
        ]
        best = 100 * result["test_at_best_val/accuracy"]
        model = record.config["model"]["ssm_type"]
        rows.append(
            [
                model,
                selective(record),
                record.config["seed"],
                *accuracies,
                best,
                result["steps"],
                result["trainable_parameters"],
            ]
        )
    columns = [
        "model",
        "selective",
        "seed",
        "token %",
        "sequence %",
        "first %",
        "last %",
        "token % at best val",
        "steps",
        "parameters",
    ]
    return Table(columns, rows, "Each run, at its last step", grouped=2)


def lengths(records: Sequence[Record]) -> list[Table]:
    """Token accuracy at other input lengths, where they were tested."""
    tested = [record for record in records if record.result.get("extrapolation")]
    if not tested:
        return []
    sizes = sorted({int(length) for record in tested for length in record.result["extrapolation"]})
    rows = []
    for record in tested:
        found = record.result["extrapolation"]
        row = [100 * found[str(size)]["accuracy"] if str(size) in found else None for size in sizes]
        rows.append([record.config["model"]["ssm_type"], selective(record), record.config["seed"], *row])
    return [Table(["model", "selective", "seed", *map(str, sizes)], rows, "Token accuracy % at other input lengths")]


def curves(records: Sequence[Record]) -> Figure:
    """Held-out token accuracy over training; one panel a combination of selective parts, one line a run."""
    combinations = sorted({_switches(record) for record in records}, reverse=True)
    columns = min(4, len(combinations))
    figure, grid = style.panels(-(-len(combinations) // columns), columns, 2.2, sharex=True, sharey=True)
    axes = [axis for line in grid for axis in line]
    for axis, combination in zip(axes, combinations, strict=False):
        for record in (record for record in records if _switches(record) == combination):
            step, accuracy = record.curve("val/accuracy")
            axis.plot(step, 100 * accuracy, color=_color(record), linewidth=1.3)
            axis.set_title(f"selective: {selective(record)}", loc="left")
        axis.axhline(100 * records[0].result["chance"], color=style.BOUND, linewidth=0.9, linestyle=":")
    for axis in axes[len(combinations) :]:
        axis.set_visible(False)
    for line in grid:
        line[0].set_ylabel("token accuracy %")
    for axis in grid[-1]:
        axis.set_xlabel("step")
    kinds = {
        record.config["model"]["ssm_type"]: _color(record)
        for record in sorted(records, key=lambda r: r.config["model"]["ssm_type"])
    }
    keys = [Line2D([], [], color=color, label=kind) for kind, color in kinds.items()]
    style.legend_above(figure, [*keys, Line2D([], [], color=style.BOUND, linewidth=0.9, linestyle=":", label="chance")])
    return figure


def _color(record: Record) -> str:
    return style.COMPLEX if record.config["model"]["ssm_type"].endswith("Complex") else style.REAL
