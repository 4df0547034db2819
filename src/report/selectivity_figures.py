"""Pictures of the selectivity experiments: held-out accuracy over training, and who has not learned yet."""

from typing import TYPE_CHECKING

import numpy as np

from . import style
from .collect import Record
from .selectivity_learning import field, lag, reached_at
from .selectivity_tables import kind, ordered, selective
from .settings import grouped
from .statistics import kaplan_meier

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FIRST = 200  # step at which the picture of who has not learned yet begins: the logarithm has no 0
# P2, Section 5, with everything selective: (field, what the number is, token accuracy in %)
PAPER = {
    "delay": ((False, "real, highest of 3 seeds", 80.17), (True, "complex, lowest of 3 seeds", 93.05)),
    "induction_head": ((False, "real, lowest of 3 seeds", 97.35), (True, "complex, lowest of 3 seeds", 93.93)),
}


def colour(record: Record) -> str:
    """One colour a field."""
    return style.COMPLEX if kind(record).endswith("Complex") else style.REAL


def curves(records: list[Record]) -> "Figure | None":
    """Held-out token accuracy over steps; a panel a combination of selective parts, a thin line a seed; None without any point."""
    begun = [record for record in ordered(records) if record.curve("val/accuracy")[0].size]
    if not begun:
        return None
    panels = grouped(begun, selective)
    columns = min(4, len(panels))
    height = 2.2 if len(panels) > 2 else 3.0
    figure, grid = style.panels(-(-len(panels) // columns), columns, height, sharex=True, sharey=True)
    axes = [axis for line in grid for axis in line]
    for axis, (parts, runs) in zip(axes, panels.items(), strict=False):
        _panel(axis, parts, runs)
    for axis in axes[len(panels) :]:
        axis.set_visible(False)
    for line in grid:
        line[0].set_ylabel("token accuracy, %")
    for axis in axes[max(0, len(panels) - columns) : len(panels)]:
        axis.set_xlabel("step")
        axis.tick_params(labelbottom=True)
    keys = {kind(r): style.key(colour(r), kind(r), linewidth=1.2) for r in begun}
    published = _paper(begun[0]) if "B, C, dt" in panels else ()
    paper = [style.key(_field_colour(f), f"paper: {name} ({value} %)", ":") for f, name, value in published]
    style.legend_above(figure, [*keys.values(), *paper, style.key("#999999", "chance", "-", linewidth=0.9)], columns=3)
    return figure


def _panel(axis: "Axes", parts: str, runs: list[Record]) -> None:
    for run in runs:
        steps, accuracy = run.curve("val/accuracy")
        style.curve(axis, steps, 100 * accuracy, colour(run))
    if parts == "B, C, dt":
        for complex_, _, value in _paper(runs[0]):
            axis.axhline(value, color=_field_colour(complex_), linewidth=1.2, linestyle=":")
    axis.axhline(100 * chance(runs[0]), color="#999999", linewidth=0.9)
    axis.set_title(f"selective: {parts}", loc="left")
    axis.set_ylim(0, 102)


def _field_colour(complex_: bool) -> str:
    return style.COMPLEX if complex_ else style.REAL


def _paper(record: Record) -> tuple:
    """The paper's numbers, for runs of the paper's task size."""
    data = record.config["dataset"]
    at_size = data["lag"] == 64 if data["name"] == "delay" else data["induction_len"] == 128
    return PAPER[data["name"]] if at_size else ()


def chance(record: Record) -> float:
    """The share of tokens that guessing gets right; the induction head's mark is not drawn as a token."""
    data = record.config["dataset"]
    return 1 / (data["symbols"] or data["n_categories"] - (data["name"] != "delay"))


def survival(records: list[Record]) -> "Figure":
    """Share of seeds that are still below 90 % over steps, a panel a field, a shade a delay; a tick is a run that ended so."""
    by_field = sorted(grouped(records, field).items(), reverse=True)
    figure, (line,) = style.panels(1, len(by_field), 2.8, sharex=True, sharey=True)
    delays = sorted({lag(record) for record in records})
    for axis, (name, runs) in zip(line, by_field, strict=True):
        for delay, own in sorted(grouped(runs, lag).items()):
            found = [reached_at(run) for run in own]
            _stairs(axis, found, colour(own[0]), 0.3 + 0.7 * (1 + delays.index(delay)) / len(delays), f"delay {delay}")
        axis.set_title(name, loc="left")
        axis.set(xlabel="step", xscale="log")
        axis.tick_params(axis="x", which="minor", labelbottom=False)
        axis.legend()
    line[0].set_ylabel("share of seeds below 90 %")
    return figure


def _stairs(axis: "Axes", found: list[tuple[int, bool]], color: str, alpha: float, label: str) -> None:
    times, reached = np.array([t for t, _ in found], float), np.array([yes for _, yes in found])
    curve = kaplan_meier(times, reached)
    x = np.concatenate([[FIRST], curve.times, [times.max()]])
    y = np.concatenate([[1.0], curve.share, [curve.share[-1] if curve.share.size else 1.0]])
    axis.step(x, y, where="post", color=color, alpha=alpha, label=label)
    for end in times[~reached]:
        axis.plot(end, y[np.searchsorted(x[:-1], end, side="right") - 1], "|", color=color, alpha=alpha, markersize=9)
