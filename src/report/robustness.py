"""The report of the robustness experiment (P1 = arXiv 2310.01698, Section 5.2): tables, and figures of robustness_figures."""

from collections.abc import Sequence
from pathlib import Path

from src.report.collect import Record, failures, gathered, progress
from src.report.robustness_figures import figures
from src.report.seeds import describe, grouped, mean_of, setting, slugs
from src.report.tables import Table
from src.tracking.files import atomic_write

PREFIX = "robustness"
COMPARED = ("model", "seed", "perturbation", "perturbation_hash", "perturbation_size")
MEASURES = ("val_accuracy", "test_accuracy", "noisy_accuracy")
NOTE = (
    "Mean over seeds with the 95 % interval of the mean. `noisy`: a Fourier mode at S4D's last spike, at the input of every SSM "
    "layer, at test time only."
)


def report(folders: Sequence[Path] | Path) -> str:
    """Writes robustness.md, CSV tables and figures into `report/` below the folder and returns the text to print.

    Raises:
        UserError: no such runs there, or a folder that cannot be written to.
    """
    with gathered(folders, PREFIX) as (records, out):
        head = [progress(records) + ".", *failures(records)]
        return _write(out, head, [record for record in records if record.done])


def _write(out: Path, head: list[str], done: list[Record]) -> str:
    text, page = (
        ["Robustness experiment", *head],
        ["# Robustness: S4D against S4-PTD", *[x for h in head for x in ("", h)]],
    )
    rows, probe_rows = [], []
    settings = grouped(sorted(done, key=_order), lambda record: setting(record.config, COMPARED))
    endings = slugs(runs[0].config for runs in settings.values())
    for runs, ending in zip(settings.values(), endings, strict=True):
        name = describe(runs[0].config)
        table = accuracies(runs)
        text += ["", name, "", table.text()]
        page += ["", f"## {name}", "", table.markdown()]
        rows += [[name, *row] for row in table.rows]
        probe_rows += [[name, *row] for row in probes(runs).rows]
        for path, caption in figures(_by_variant(runs), out, ending).items():
            page += ["", f"![{path.stem}]({path.name})", "", caption]
    atomic_write(out / "robustness.md", ("\n".join(page) + "\n").encode())
    atomic_write(out / "robustness.csv", Table(["setting", *_COLUMNS], rows).csv().encode())
    atomic_write(out / "robustness-probes.csv", Table(["setting", *_PROBE_COLUMNS], probe_rows).csv().encode())
    return "\n".join([*text, "", f"Tables and figures: {out}"])


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
