"""The report of `train.py`: learning curves of a run or of several, and a table of their results beside what is published."""

import re
import textwrap
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from src.report import style
from src.report.collect import Record, failures, gathered, progress
from src.report.summary import summary
from src.sweep import RunFolder
from src.tables import Table
from src.tracking.files import atomic_write

PREFIX = "train-"
CURVES = "curves.png"
DASHES = {"train": (0, (2, 1.5)), "val": "-"}


def table(folders: Iterable[RunFolder]) -> Table:
    """Returns one row a run, test accuracies in percent: with the last weights, and with those that were best in validation."""
    columns = (
        "run",
        "layer",
        "epochs",
        "parameters",
        "val best",
        "test@last",
        "test@best-val",
        "published",
        "s an epoch",
    )
    rows, data = [], []
    for folder in folders:
        result = folder.result()
        if result is not None:
            rows.append(_row(folder, result))
            data.append(f"data: {result['data']}")
    return Table(columns, rows, notes=list(dict.fromkeys(data)))


def _row(folder: RunFolder, result: dict[str, Any]) -> list[Any]:
    reference = folder.config.get("reference") or {}
    published = reference.get("accuracy")
    return [
        folder.run.label or folder.run.key,
        _layer(folder.config),
        result["epochs"],
        result["n_parameters"],
        _percent(result.get("best/val") if folder.config["train"]["monitor"] == "val/accuracy" else None),
        _percent(result.get("test@last/accuracy")),
        _percent(result.get("test@best-val/accuracy")),
        None if published is None else f"{published:.2f}{' (recalled)' if reference.get('recalled') else ''}",
        None if result.get("epoch_seconds") is None else round(result["epoch_seconds"], 1),
    ]


def _layer(config: dict[str, Any]) -> str:
    layer = config["model"]["layer"]
    return f"{layer['_name_']}{', real' if layer.get('is_real') else ''}"


def _percent(share: float | None) -> str | None:
    return None if share is None else f"{100 * share:.2f}"


def draw_curves(folder: RunFolder, published: float | None = None) -> Path:
    """Writes the learning curves of one run, whose log they come from, into its folder; returns the path."""
    path = folder.path / CURVES
    with style.style():
        style.save(_figure([(folder.run.label or folder.run.key, folder.metrics())], published), path)
    return path


def _figure(runs: Sequence[tuple[str, list[dict[str, Any]]]], published: float | None = None) -> Figure:
    """Loss and accuracy over epochs; training dashed, validation solid, one colour a run."""
    figure, axes = style.panels(1, 2, 2.8)
    handles = []
    for i, (label, rows) in enumerate(runs):
        colour = style.CYCLE[i % len(style.CYCLE)]
        handles.append(Line2D([], [], color=colour, label=textwrap.shorten(label, 60)))
        epochs = [row for row in rows if "epoch" in row]
        for axis, metric, scale in ((axes[0][0], "loss", 1), (axes[0][1], "accuracy", 100)):
            for split, dashes in DASHES.items():
                points = [
                    (row["epoch"], scale * row[f"{split}/{metric}"]) for row in epochs if f"{split}/{metric}" in row
                ]
                x, y = np.array(points).reshape(-1, 2).T
                axis.plot(x, y, color=colour, linestyle=dashes, marker="o", markersize=3)
    names = {"train": "training", "val": "validation"}
    handles += [Line2D([], [], color=style.TARGET, linestyle=DASHES[k], label=name) for k, name in names.items()]
    if published is not None:
        axes[0][1].axhline(published, color=style.BOUND, linewidth=0.9, linestyle=":")
        handles.append(
            Line2D([], [], color=style.BOUND, linestyle=":", label=f"published test accuracy, {published:g} %")
        )
    for axis, name in zip(axes[0], ("cross-entropy", "accuracy, %"), strict=True):
        axis.set_xlabel("epoch")
        axis.set_ylabel(name)
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    style.legend_above(figure, handles, columns=2)
    return figure


def report(folders: Sequence[Path] | Path) -> str:
    """Writes table (md, csv), summary.csv and one figure of all runs of each experiment into `report/` below the folder; returns the text.

    Raises:
        UserError: no runs of `train.py` there, or a folder that cannot be written to.
    """
    with gathered(folders, PREFIX) as (records, out):
        results = table(record.folder for record in records if record.done)
        head = [f"{progress(records)}.", *failures(records)]
        page = ["# Training runs", "", *head, "", results.markdown()]
        for name, path in _figures(records, out).items():
            page += ["", f"![{name}]({path.name})"]
        atomic_write(out / "train.md", ("\n".join(page) + "\n").encode())
        atomic_write(out / "train.csv", results.csv().encode())
        atomic_write(out / "train-summary.csv", summary(records).csv().encode())
    return "\n".join(["Training runs", *head, "", results.text(), "", f"Tables and figures: {out}"])


def _figures(records: list[Record], out: Path) -> dict[str, Path]:
    """One figure an experiment that has rows: all its runs together."""
    written = {}
    for name in sorted({record.experiment for record in records}):
        own = [record for record in records if record.experiment == name and record.curve("epoch")[0].size]
        labels = _labels(own)
        if own:
            written[name] = out / f"{name}.png"
            with style.style():
                style.save(
                    _figure([(label, record.folder.metrics()) for label, record in zip(labels, own, strict=True)]),
                    written[name],
                )
    return written


def _labels(records: list[Record]) -> list[str]:
    """Returns the layer of each run, with the words of the command line that not all of them share where layers are not enough."""
    layers = [_layer(record.config) for record in records]
    if len(set(layers)) == len(records):
        return layers
    words = [(record.folder.run.label or record.key).split() for record in records]
    shared = set(words[0]).intersection(*words[1:])
    names = ("model/layer=", "model=", "model.layer.is_real=")
    own = [[word for word in line if word not in shared and not word.startswith(names)] for line in words]
    short = [
        [re.sub(r"^[\w.]+\.(?=\w+=)", "", word) for word in line] for line in own
    ]  # d_state=64, not model.layer.d_state=64
    return [" ".join([layer, *line]) for layer, line in zip(layers, short, strict=True)]
