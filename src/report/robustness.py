"""The report of the robustness experiment (P1 = arXiv 2310.01698, Section 5.2): tables, and figures of robustness_figures."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from ..tables import Table
from . import robustness_figures
from .by_setting import Layout, write_report
from .collect import Record
from .compare import COLUMNS as COMPARED_COLUMNS
from .compare import against_best, all_pairs
from .options import DEFAULT, Options
from .reporters import ROBUSTNESS
from .settings import grouped, mean, result
from .statistics import LEVEL, paired_accuracies, paired_t

COMPARED = ("model", "seed", "perturbation", "perturbation_hash", "perturbation_size")
MEASURES = ("val_accuracy", "test_accuracy", "noisy_accuracy")
NOTE = (
    "Accuracies in percent: mean over seeds ± 95 % interval (Student); * is the best. noisy_accuracy: a Fourier mode at S4D's last spike, "
    "at the input of every SSM layer, at test time only; lost: test_accuracy - noisy_accuracy, run by run."
)

LOSS_NOTE = (
    "lost, p: percentage points and Student's paired test over seeds. By image: in how many seeds McNemar's exact test on the same test "
    "images says that accuracy is lost; then the images, of all seeds together, that only one of the two has right."
)


def report(
    folders: Sequence[Path] | Path,
    options: Options = DEFAULT,
    *,
    expected: int | None = None,
) -> str:
    """Writes robustness.md, CSV files and pictures; see `write_report`."""
    return write_report(LAYOUT, folders, options, expected)


_MODELS = ("s4d", "s4-ptd", "s4", "s5", "s5-ptd")
_COLUMNS = ["model", "perturbation", "seeds", *MEASURES, "lost"]
_LOSS_COLUMNS = [
    "model",
    "perturbation",
    "seeds",
    "lost",
    "p",
    "p < 0.05 by image",
    "only clean right",
    "only noisy right",
]
_PROBE_COLUMNS = ["model", "perturbation", "seed", "group", "kind", "omega", "level", "accuracy", "loss"]


def _order(record: Record) -> tuple:
    config = record.config
    return config["dataset"], _MODELS.index(config["model"]), str(config["perturbation"]), config["seed"]


def variant(record: Record) -> tuple[str, str]:
    """What is compared: (model, the name of its perturbation)."""
    config = record.config
    size = config["perturbation_size"]
    return config["model"], (config["perturbation"] or "-") + ("" if size is None else f" {size:g}")


def _by_variant(runs: list[Record]) -> dict[tuple[str, str], list[Record]]:
    return grouped(runs, variant)


def accuracies(runs: list[Record]) -> Table:
    """One row a model: accuracies after the last epoch, and how much the noise costs; what stands best under noise first."""
    senses = dict.fromkeys(MEASURES, "max") | {"lost": "min"}
    table = Table(_COLUMNS, notes=[NOTE], best=senses)
    for (model, E), own in _ranked(runs).items():
        means = [mean(own, result(name, 100)) for name in MEASURES]
        table.rows.append([model, E, len(own), *means, mean(own, _lost)])
    return table


def _ranked(runs: list[Record]) -> dict[tuple[str, str], list[Record]]:
    groups = _by_variant(runs)
    return dict(sorted(groups.items(), key=lambda item: -mean(item[1], result("noisy_accuracy")).value))


def _lost(run: Record) -> float:
    return 100 * (run.result["test_accuracy"] - run.result["noisy_accuracy"])


def losses(runs: list[Record]) -> Table:
    """One row a model: what the noise costs it, paired: over seeds (Student), and within each seed over the same images (McNemar)."""
    table = Table(_LOSS_COLUMNS, title="lost to noise, paired", notes=[LOSS_NOTE])
    for (model, E), own in _ranked(runs).items():
        clean, noisy = ([100 * run.result[f"{name}_accuracy"] for run in own] for name in ("test", "noisy"))
        compared = paired_t(clean, noisy)
        images = [paired_accuracies(*both) for run in own if (both := _both(run))]
        worse = sum(image.p < 1 - LEVEL and image.difference.value > 0 for image in images)
        by_image = f"{worse} of {len(images)}" if images else None
        only = [sum(int((a & ~b).sum()) for a, b in pairs) for pairs in (_verdicts(own), _verdicts(own, swapped=True))]
        table.rows.append(
            [model, E, len(own), compared.difference, compared.p, by_image, *(only if images else [None] * 2)]
        )
    return table


def _verdicts(runs: list[Record], swapped: bool = False) -> list[tuple[np.ndarray, np.ndarray]]:
    pairs = [both for run in runs if (both := _both(run))]
    return [(noisy, clean) for clean, noisy in pairs] if swapped else pairs


def _both(run: Record) -> tuple[np.ndarray, np.ndarray] | None:
    """(Right without noise, right with it), each (examples,); None for a run of an earlier version."""
    clean, noisy = right("test")(run), right("noisy")(run)
    return None if clean is None or noisy is None else (clean, noisy)


def right(name: str) -> Callable[[Record], np.ndarray | None]:
    """Returns what reads which test examples a run had right with its last weights."""
    return lambda record: record.arrays.get(f"{name}_right@last")


def differences(runs: list[Record]) -> Table:
    """How far the model that stands best under noise is ahead of each other one, paired."""
    groups = _named(runs)
    table = against_best(groups, result("noisy_accuracy", 100), _seed, right("noisy")) if groups else Table([])
    table.title = "noisy_accuracy, paired"
    return table


def pairs(runs: list[Record]) -> Table:
    """Every two models, with and without noise, paired."""
    table = Table(["measure", *COMPARED_COLUMNS])
    for name in ("test", "noisy"):
        measure = f"{name}_accuracy"
        found = all_pairs(_named(runs), result(measure, 100), _seed, right(name))
        table.rows += [[measure, *row] for row in found.rows]
    return table


def _named(runs: list[Record]) -> dict[str, list[Record]]:
    return {f"{model} {E}" if E != "-" else model: own for (model, E), own in _ranked(runs).items()}


def _seed(record: Record) -> int:
    return record.config["seed"]


def single(runs: list[Record]) -> Table:
    """One row a run."""
    table = Table([*_COLUMNS[:2], "seed", *MEASURES, "lost", "folder"], title="Single runs", grouped=2)
    for names, own in _ranked(runs).items():
        for run in own:
            figures = [*(100 * run.result[name] for name in MEASURES), _lost(run)]
            table.rows.append([*names, run.config["seed"], *(round(x, 2) for x in figures), run.key])
    return table


def probes(runs: list[Record]) -> Table:
    """One row for every probe of every run."""
    table = Table(_PROBE_COLUMNS)
    for run in runs:
        for probe in run.result["probes"]:
            values = [probe[name] for name in ("group", "kind", "omega", "level", "accuracy", "loss")]
            table.rows.append([*variant(run), run.config["seed"], *values])
    return table


LAYOUT = Layout(
    prefix=ROBUSTNESS,
    title="Robustness experiment",
    headline="Robustness: S4D against S4-PTD",
    compared=COMPARED,
    shown=accuracies,
    further=[losses, differences],
    single=single,
    files=[("-probes", probes), ("-losses", losses), ("-pairs", pairs)],
    pictures=lambda runs, ending: robustness_figures.pictures(_by_variant(runs), ending),
    order=_order,
)
