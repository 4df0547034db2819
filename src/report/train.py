"""The report of `train.py`: settings with means over seeds beside what is published, what tells them apart, learning curves."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..sweep import RunFolder
from ..tables import Table
from . import field_gap, style
from .collect import Record, record_of
from .compare import against_best
from .options import DEFAULT, Options
from .page import Pictures, open_page
from .reporters import TRAIN
from .settings import data_line, grouped, mean, own_words, result, setting
from .summary import summary

CURVES = "curves.png"
SEED = "train.seed"
SPLITS = {"train": style.DASHED, "val": "-"}
MEANS = "Accuracies in percent: mean over seeds ± 95 % interval (Student); * is the best. Sorted by test@best-val."
MEANS_OF_NUMBERS = MEANS.replace("Accuracies in percent", "R² in percent, mae in the labels' unit")
MEANS_OF_SCORES = MEANS.replace("Accuracies in percent", "Scores of the task, larger is better")
NOT_WORDS = ("model/layer=", "model=", "model.layer.is_real=", f"{SEED}=")


def report(
    folders: Sequence[Path] | Path,
    options: Options = DEFAULT,
    *,
    expected: int | None = None,
) -> str:
    """Writes train.md, CSV files and a picture of each experiment into `report/` below the folder; returns the text to print.

    Raises:
        UserError: no runs of `train.py` there, or a folder that cannot be written to.
    """
    with open_page(folders, TRAIN, "Training runs", "Training runs", options, expected=expected) as page:
        means, singles = [], []
        for experiment, runs in grouped(page.records, lambda r: r.experiment).items():
            done = [record for record in runs if record.done]
            page.section(experiment, runs)
            means += [[experiment, *row] for row in page.table(table, done).rows]
            page.table(differences, done)
            page.table(lambda own: field_gap.gaps(own, right), done)
            if options.runs:
                page.table(single, done)
            singles += [[experiment, *row] for row in single(done).rows]
            page.pictures(experiment, lambda name=experiment, own=runs: _pictures(name, own))
            if field_gap.pairs(done):
                page.pictures(f"{experiment}-gap", lambda name=experiment, own=done: _gap(name, own))
        page.csv("train.csv", Table(["experiment", *COLUMNS], means))
        page.csv("train-runs.csv", Table(["experiment", *RUN_COLUMNS], singles))
        page.csv("train-summary.csv", summary(page.records))
        return page.finish()


def _percent(name: str) -> Callable[[Record], float | None]:
    """The measure `name` of the labels: accuracy or R², in percent, or the score of a task of the user's, as it is."""
    measures = result(f"{name}/accuracy", 100), result(f"{name}/r2", 100), result(f"{name}/score")
    return lambda record: next((value for measure in measures if (value := measure(record)) is not None), None)


TEST, LAST = _percent("test@best-val"), _percent("test@last")
MAE = result("test@best-val/mae")


# --- settings ---

COLUMNS = (
    "setting",
    "seeds",
    "test@best-val",
    "test@last",
    "mae",
    "best/val",
    "published",
    "epochs",
    "parameters",
    "s/epoch",
)


def settings(records: Iterable[Record]) -> dict[str, list[Record]]:
    """Returns runs by the name of their setting (all of the config but the seed), best first."""
    groups = list(grouped(records, lambda record: setting(record.config, (SEED,))).values())
    groups.sort(key=lambda runs: -(m.value if (m := mean(runs, TEST)) else -np.inf))
    return dict(zip(names(groups), groups, strict=True))


def names(groups: Sequence[Sequence[Record]]) -> list[str]:
    """Returns the layer of each setting, with the words of its command line that not all share where layers are not enough."""
    layers = [_layer(runs[0].config) for runs in groups]
    if len(set(layers)) == len(layers):
        return layers
    words = own_words([runs[0].folder.run.label or runs[0].key for runs in groups], NOT_WORDS)
    found = [" ".join([layer, *line]) for layer, line in zip(layers, words, strict=True)]
    return [
        f"{name} [{runs[0].key}]" if found.count(name) > 1 else name for name, runs in zip(found, groups, strict=True)
    ]


def table(records: Iterable[Record]) -> Table:
    """Returns one row a setting, accuracies in percent: with the weights that were best in validation, and with the last."""
    records, rows, data = list(records), [], []
    for name, runs in settings(records).items():
        first = runs[0]
        means = [mean(runs, measure) for measure in (TEST, LAST, MAE, _best_val)]
        epochs = {run.result["epochs"] for run in runs}
        rows.append(
            [
                name,
                len(runs),
                *means,
                _published(first.config),
                epochs.pop() if len(epochs) == 1 else f"{min(epochs)} to {max(epochs)}",
                first.result["n_parameters"],
                _seconds(runs),
            ]
        )
        data.append(data_line(first.result))
    notes = [_means(records), *dict.fromkeys(data)] if rows else []
    return Table(
        COLUMNS, rows, notes=notes, best={"test@best-val": "max", "test@last": "max", "mae": "min", "best/val": "max"}
    )


def _means(records: Iterable[Record]) -> str:
    of = {key for record in records for key in ("target_std", "task") if key in record.result}
    return MEANS_OF_NUMBERS if "target_std" in of else MEANS_OF_SCORES if of else MEANS


def differences(records: Iterable[Record]) -> Table:
    """Returns how far the best setting is ahead of each other one, paired."""
    return against_best(settings(records), TEST, lambda r: r.config["train"]["seed"], right) if records else Table([])


def right(record: Record) -> np.ndarray | None:
    """Returns which test examples the run had right with the weights that were best in validation, None where it kept that not."""
    return record.arrays.get("test_right@best-val")


def _layer(config: dict[str, Any]) -> str:
    layer = config["model"]["layer"]
    own = layer.get("_target_")  # a class of the user's
    kernel = f", {layer['kernel']['_target_']}" if layer.get("kernel") else ""
    return own or f"{layer['_name_']}{', is_real' if layer.get('is_real') else ''}{kernel}"


def _best_val(record: Record) -> float | None:
    scale = 1 if "task" in record.result else 100
    return result("best/val", scale)(record) if record.config["train"]["monitor"] == "val/accuracy" else None


def _published(config: dict[str, Any]) -> str | None:
    reference = config.get("reference") or {}
    accuracy = reference.get("accuracy")
    return None if accuracy is None else f"{accuracy:.2f}{' (recalled)' if reference.get('recalled') else ''}"


def _seconds(runs: Iterable[Record]) -> float | None:
    values = [x for run in runs if (x := run.result.get("epoch_seconds")) is not None]
    return round(float(np.median(values)), 1) if values else None


# --- single runs ---

RUN_COLUMNS = ("run", "seed", "test@best-val", "test@last", "best/val", "epochs", "best_epoch", "s/epoch", "folder")


def single(records: Iterable[Record]) -> Table:
    """Returns one row a run."""
    rows = []
    for name, runs in settings(records).items():
        for run in sorted(runs, key=lambda r: r.config["train"]["seed"]):
            own = run.result
            accuracies = [None if x is None else round(x, 2) for x in (TEST(run), LAST(run), _best_val(run))]
            spent = [own["epochs"], own.get("best_epoch"), _seconds([run])]
            rows.append([name, run.config["train"]["seed"], *accuracies, *spent, run.key])
    return Table(RUN_COLUMNS, rows, "Single runs", grouped=1)


def of_folders(folders: Iterable[RunFolder]) -> Table:
    """Returns the table of the finished ones of these runs."""
    return table([record for folder in folders if (record := record_of(folder)).done])


# --- pictures ---


def draw_curves(folder: RunFolder, published: float | None = None) -> Path:
    """Writes the learning curves of one run, whose log they come from, into its folder; returns the path."""
    path = folder.path / CURVES
    with style.style():
        style.save(_figure({folder.run.label or folder.run.key: [folder.metrics()]}, published), path)
    return path


def _pictures(name: str, records: list[Record]) -> Pictures:
    """The curves of an experiment's settings, also of runs that are not finished."""
    begun = settings(record for record in records if record.curve("epoch")[0].size)
    if not begun:
        return
    drawn = dict(list(begun.items())[: len(style.CYCLE)])
    label = {setting: [run.folder.metrics() for run in runs] for setting, runs in drawn.items()}
    left = f" The {len(drawn)} best of {len(begun)} settings." if len(begun) > len(drawn) else ""
    published = {p for runs in drawn.values() if (p := (runs[0].config.get("reference") or {}).get("accuracy"))}
    caption = f"Thin lines are seeds; dashed: training, solid: validation.{left}"
    yield name, _figure(label, published.pop() if len(published) == 1 else None), caption


def _gap(name: str, records: list[Record]) -> Pictures:
    caption = "Complex minus real at equal parameters; settings differ in size, a point's label is its number of training examples."
    yield f"{name}-gap", field_gap.figure(records, right), caption


AXES = {  # of a metric: its scale, and the labels of loss and metric
    "accuracy": (100, ("cross-entropy", "accuracy, %")),
    "r2": (100, ("squared error, in variances", "R², %")),
    "score": (1, ("loss", "score")),
}


def _is_logged(name: str, runs: dict[str, list[list[dict[str, Any]]]]) -> bool:
    return any(name in row for logs in runs.values() for rows in logs for row in rows)


def _figure(runs: dict[str, list[list[dict[str, Any]]]], published: float | None = None):
    """Loss and accuracy over epochs; one colour a setting, a thin line a seed, training dashed, validation solid."""
    figure, (line,) = style.panels(1, 2, 2.8)
    metric = next((name for name in ("r2", "score") if _is_logged(f"train/{name}", runs)), "accuracy")
    percent, names = AXES[metric]
    handles = []
    for colour, (label, logs) in zip(style.CYCLE, runs.items(), strict=False):
        handles.append(style.key(colour, label if len(label) < 60 else f"{label[:28]}…{label[-30:]}"))
        for rows in logs:
            epochs = [row for row in rows if "epoch" in row]
            for axis, measure, scale in ((line[0], "loss", 1), (line[1], metric, percent)):
                for split, dashes in SPLITS.items():
                    own = [row for row in epochs if f"{split}/{measure}" in row]
                    y = [scale * row[f"{split}/{measure}"] for row in own]
                    style.curve(axis, [row["epoch"] for row in own], y, colour, dashes)
    handles += [style.key(style.TARGET, name, SPLITS[k]) for k, name in (("train", "training"), ("val", "validation"))]
    if published is not None:
        line[1].axhline(published, color=style.BOUND, linewidth=0.9, linestyle=":")
        handles.append(style.key(style.BOUND, f"published test accuracy, {published:g} %", ":", linewidth=0.9))
    for axis, name in zip(line, names, strict=True):
        axis.set(xlabel="epoch", ylabel=name)
        style.whole_numbers(axis)
    style.legend_above(figure, handles, columns=2 if max(map(len, runs), default=0) > 20 else None)
    return figure
