"""The report of the robustness experiment (P1 = arXiv 2310.01698, Section 5.2): tables, and figures of robustness_figures."""

from collections.abc import Sequence
from pathlib import Path

from src.report.by_setting import Layout, write_report
from src.report.collect import Record
from src.report.robustness_figures import figures
from src.report.seeds import grouped, mean_of
from src.tables import Table

PREFIX = "robustness"
COMPARED = ("model", "seed", "perturbation", "perturbation_hash", "perturbation_size")
MEASURES = ("val_accuracy", "test_accuracy", "noisy_accuracy")
NOTE = (
    "Mean over seeds with the 95 % interval of the mean. `noisy`: a Fourier mode at S4D's last spike, at the input of every SSM "
    "layer, at test time only."
)


def report(folders: Sequence[Path] | Path) -> str:
    """Writes robustness.md, robustness.csv, robustness-probes.csv and figures; see `write_report`."""
    return write_report(LAYOUT, folders, _order)


_MODELS = ("s4d", "s4-ptd", "s4", "s5", "s5-ptd")
_COLUMNS = ["model", "E", "seeds", "val", "clean", "noisy", "lost to noise"]
_PROBE_COLUMNS = ["model", "E", "seed", "group", "kind", "omega", "level", "accuracy", "loss"]


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
    """One row a model: accuracies after the last epoch, and how much the noise costs."""
    table = Table(_COLUMNS, notes=[NOTE])
    for (model, E), own in _by_variant(runs).items():
        means = [str(mean_of(run.result[name] for run in own)) for name in MEASURES]
        lost = mean_of(run.result["test_accuracy"] - run.result["noisy_accuracy"] for run in own)
        table.rows.append([model, E, len(own), *means, str(lost)])
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
    prefix=PREFIX,
    title="Robustness experiment",
    headline="Robustness: S4D against S4-PTD",
    compared=COMPARED,
    tables={"": (_COLUMNS, accuracies), "-probes": (_PROBE_COLUMNS, probes)},
    figures=lambda runs, out, ending: figures(_by_variant(runs), out, ending),
)
