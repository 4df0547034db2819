"""The report of the sinusoid regression (P1 = arXiv 2310.01698, Section 3.4, Fig. 2, Appendix G): a table and one figure."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..linalg.legs_transfer import pole_frequencies
from ..tables import Table
from . import style
from .collect import Record
from .options import DEFAULT, Options
from .page import open_page
from .reporters import SINUSOID
from .settings import grouped, mean, result, setting

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COMPARED = ("model", "seed", "perturbation", "perturbation_hash")
COLORS = {"s4d": style.COMPLEX, "s4-ptd": style.REAL, "s4": style.TARGET}
NAMES = {"s4d": "S4D", "s4-ptd": "S4-PTD", "s4": "S4"}
MEASURES = ("s_interpolation", "s_extrapolation", "A_interpolation", "A_extrapolation")
COLUMNS = ["model", "seeds", *MEASURES, "worst_A", "worst_A_at"]
RUN_COLUMNS = ["model", "seed", *MEASURES, "worst_A", "worst_A_at", "folder"]
NOTE = "Root mean squared errors: mean over seeds ± 95 % interval (Student), * is the least; worst_A: furthest from the true 1 outside."


def report(
    folders: Sequence[Path] | Path,
    options: Options = DEFAULT,
    *,
    expected: int | None = None,
) -> str:
    """Writes sinusoid.md, CSV files and a picture for each setting into `report/` below the folder; returns the text to print.

    Raises:
        UserError: no such runs there, or a folder that cannot be written to.
    """
    title = "Sinusoid regression"
    with open_page(folders, SINUSOID, title, title, options, expected=expected) as page:
        means, singles = [], []
        done = [record for record in page.records if record.done]
        settings = grouped(done, lambda record: setting(record.config, COMPARED))
        for number, runs in enumerate(settings.values(), 1):
            c = runs[0].config
            name = f"n = {c['n']}, trained on s in [{c['s_min']:g}, {c['s_max']:g}], {c['steps']:,} steps"
            page.section(name, runs)
            means += [[name, *row] for row in page.table(errors, runs).rows]
            if options.runs:
                page.table(single, runs)
            singles += [[name, *row] for row in single(runs).rows]
            picture = f"sinusoid-{number}" if len(settings) > 1 else "sinusoid"
            page.pictures(picture, lambda picture=picture, runs=runs: [(picture, figure(runs), "")])
        page.csv("sinusoid.csv", Table(["setting", *COLUMNS], means))
        page.csv("sinusoid-runs.csv", Table(["setting", *RUN_COLUMNS], singles))
        return page.finish()


def _by_model(runs: list[Record]) -> dict[str, list[Record]]:
    groups = grouped(runs, lambda record: record.config["model"])
    return {model: groups[model] for model in NAMES if model in groups}


def errors(runs: list[Record]) -> Table:
    """Root mean squared errors of s and A inside and outside the trained range, and the answer A (true: 1) that is furthest off."""
    table = Table(COLUMNS, notes=[NOTE], best=dict.fromkeys(MEASURES, "min"))
    groups = sorted(_by_model(runs).items(), key=lambda item: mean(item[1], result("A_extrapolation")).value)
    for model, own in groups:
        worst = max(own, key=lambda run: abs(run.result["worst_A"] - 1))
        means = [mean(own, result(name)) for name in MEASURES]
        table.rows.append([NAMES[model], len(own), *means, worst.result["worst_A"], worst.result["worst_A_at"]])
    return table


def single(runs: list[Record]) -> Table:
    """One row a run."""
    table = Table(RUN_COLUMNS, title="Single runs", grouped=1)
    for model, own in _by_model(runs).items():
        for run in own:
            figures = [run.result[name] for name in (*MEASURES, "worst_A", "worst_A_at")]
            table.rows.append([NAMES[model], run.config["seed"], *figures, run.key])
    return table


def figure(runs: list[Record]) -> "Figure":
    """Predicted frequency and amplitude against the true frequency; every seed is a line."""
    drawn, (line,) = style.panels(1, 2, 3.0)
    c = runs[0].config
    for model, own in reversed(_by_model(runs).items()):
        for run in own:
            data = run.arrays
            for axis, name in zip(line, ("predicted_s", "predicted_A"), strict=True):
                axis.plot(data["s"], data[name], color=COLORS[model], linewidth=1.2, alpha=0.85)
    line[0].plot(
        [c["s_min"], c["s_test"]], [c["s_min"], c["s_test"]], color=style.BOUND, linewidth=0.8, linestyle=(0, (4, 2))
    )
    line[1].axhline(1.0, color=style.BOUND, linewidth=0.8, linestyle=(0, (4, 2)))
    for axis in line:
        axis.axvspan(c["s_min"], c["s_max"], color="#000000", alpha=0.05, linewidth=0)
        for pole in pole_frequencies(c["n"]):
            if pole > c["s_min"]:
                axis.axvline(pole, color=style.COMPLEX, linewidth=0.8, linestyle=(0, (1, 2)), zorder=0)
        axis.set_xlabel("true frequency $s$")
    line[1].set_yscale("symlog", linthresh=2)  # linear around the truth, logarithmic where S4D is far off
    values = np.concatenate([run.arrays["predicted_A"] for run in runs])
    line[1].set_yticks(*_ticks(values))
    line[1].set_ylim(bottom=min(0.0, 1.1 * values.min()))
    line[0].set_ylabel("predicted frequency")
    line[1].set_ylabel("predicted amplitude (true: 1)")
    keys = [style.key(COLORS[model], NAMES[model]) for model in _by_model(runs)]
    keys.append(style.key(style.BOUND, "truth", (0, (4, 2)), linewidth=0.8))
    keys.append(style.key(style.COMPLEX, "spikes of S4D (grey: trained range)", style.DOTTED, linewidth=0.8))
    style.legend_above(drawn, keys)
    return drawn


def _ticks(values: np.ndarray) -> tuple[list[float], list[str]]:
    """Ticks of the amplitude axis that lie in the range of the values."""
    kept = [tick for tick in (-50, -10, -4, -2, -1, 0, 1, 2, 4, 10, 50) if values.min() - 1 <= tick <= values.max() + 1]
    return kept, [f"{tick:g}" for tick in kept]
