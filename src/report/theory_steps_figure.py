"""The picture of src/report/theory_steps.py: median steps to be near for good against t."""

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from . import style
from .collect import Record
from .page import Pictures
from .theory_steps import ERROR, EXCESS, durations

CAPTION = (
    f"Steps after which a run stays near to its end, median over seeds: a real run within {EXCESS:.0%} of the exact frontier at its "
    f"||w||_1, a complex one below a squared error of {ERROR:g}. Missing points: more than half of the seeds do not get there."
)
_DASHES = ("-", style.DASHED, style.DOTTED)


def pictures(records: list[Record], ending: str = "") -> Pictures:
    """One row of panels a field, one panel a target; nothing unless several t were run."""
    table = durations(records)
    if table.rows:
        yield f"steps{ending}", _figure([dict(zip(table.columns, row, strict=True)) for row in table.rows]), CAPTION


def _figure(rows: list[dict]) -> Figure:
    titles = list(rows[0])[6:]
    fields = list(dict.fromkeys(row["SSM"] for row in rows))
    figure, lines = style.panels(len(fields), len(titles), 2.2, sharex=True, sharey="row")
    optimizers, rates = sorted({row["optimizer"] for row in rows}), sorted({row["lr"] for row in rows}, reverse=True)
    looks = {
        (opt, lr): {"color": style.CYCLE[i], "linestyle": _DASHES[j % len(_DASHES)]}
        for i, opt in enumerate(optimizers)
        for j, lr in enumerate(rates)
    }
    for line, field in zip(lines, fields, strict=True):
        for axis, title in zip(line, titles, strict=True):
            _panel(axis, [row for row in rows if row["SSM"] == field], title, looks)
            axis.set_title(title if line is lines[0] else "")
        line[0].set_ylabel(f"{field}: steps")
    for axis in lines[-1]:
        axis.set_xlabel("$t$")
    keys = [Line2D([], [], label=f"{opt}, lr {lr:g}", **look) for (opt, lr), look in looks.items()]
    style.legend_above(figure, keys, 3)
    return figure


def _panel(axis, rows: list[dict], title: str, looks: dict) -> None:
    for (opt, lr), look in looks.items():
        for r_min in sorted({row["r_min"] for row in rows}):
            own = [row for row in rows if (row["optimizer"], row["lr"], row["r_min"]) == (opt, lr, r_min)]
            y = [np.nan if row[title] is None or not np.isfinite(row[title]) else row[title] for row in own]
            axis.plot([row["t"] for row in own], y, marker="o", markersize=3.5, linewidth=1.3, **look)
    t = sorted({row["t"] for row in rows})
    axis.set(yscale="log", xscale="log")
    axis.set_xticks(t, [str(x) for x in t])
    axis.minorticks_off()
