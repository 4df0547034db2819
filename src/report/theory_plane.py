"""The picture of P2's claim (arXiv 2410.14067): what real SSMs can reach in the plane (||w||_1, error), and where training goes in it."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from . import style
from .collect import Record
from .page import Pictures
from .theory_frontier import frontier_for
from .theory_tables import TITLES, choice, only, tasks_of, value, values_of

CAPTION = (
    "Squared L2 error against ||w||_1, w = C o B, at one t. No real SSM of any size is inside the shaded region; its edge is the exact "
    "frontier. Runs move from left to right; bold: the best real run, the worst complex seed. Where each seed has its own target, "
    "the panel shows the target of the best real run."
)
COLUMNS = 3
SIZES = np.geomspace(1e-1, 1e8, 181)  # ||w||_1 at which the frontier is drawn
_SHADE = "#E3E3E3"


def planes(records: list[Record], ending: str = "") -> Pictures:
    """One panel a target, of finished runs of one variant that have their ||w||_1; none without a real one."""
    done = [record for record in records if record.done and len(record.curve("w_l1")[0])]
    real = only(done, complex_option=False)
    if real:
        t = values_of(real, "L")[0][0]
        yield f"frontier{ending}", _figure(only(done, L=t), t), CAPTION


def _figure(records: list[Record], t: int) -> Figure:
    tasks = tasks_of(records)
    columns = min(COLUMNS, len(tasks))
    figure, lines = style.panels(-(-len(tasks) // columns), columns, 2.6, sharex=True, sharey=True)
    axes = [axis for line in lines for axis in line]
    for axis, task in zip(axes, tasks, strict=False):
        _panel(axis, only(records, task_name=task))
        axis.set_title(f"{TITLES[task]}, $t={t}$")
    for axis in axes[len(tasks) :]:
        axis.set_axis_off()
    for line in lines:
        line[0].set_ylabel("squared L2 error")
    for axis in axes[max(0, len(tasks) - columns) : len(tasks)]:
        axis.set_xlabel(r"$\|w\|_1$")
        axis.tick_params(labelbottom=True)
    keys = [
        Patch(color=_SHADE, label="no real SSM"),
        Line2D([], [], color=style.BOUND, linewidth=1.2, label="exact frontier"),
        Line2D([], [], color=style.REAL, label="real runs"),
        Line2D([], [], color=style.COMPLEX, label="complex runs"),
    ]
    style.legend_above(figure, keys)
    return figure


def _panel(axis: plt.Axes, records: list[Record]) -> None:
    shown = choice(False)(only(records, complex_option=False)) or records[0]
    frontier = frontier_for(shown)
    errors = frontier.least(SIZES)
    axis.fill_between(SIZES, 0, errors, color=_SHADE, linewidth=0, zorder=0)
    axis.plot(SIZES, errors, color=style.BOUND, linewidth=1.2, zorder=4)
    records = [record for record in records if frontier_for(record) is frontier]
    for field, color in ((False, style.REAL), (True, style.COMPLEX)):
        runs = only(records, complex_option=field)
        chosen = choice(field)(runs)
        for run in runs:
            bold = {"linewidth": 1.8, "zorder": 3} if run is chosen else {"linewidth": 0.6, "alpha": 0.3}
            axis.plot(run.curve("w_l1")[1], run.curve("loss")[1], color=color, **bold)
        if chosen is not None:
            _end(axis, chosen, color, 14 if field else 4)
    axis.set(xscale="log", xlim=(SIZES[0], SIZES[-1]), ylim=(-0.03, 1.05))


def _end(axis: plt.Axes, run: Record, color: str, up: float) -> None:
    """Marks where the run ended and writes its least error."""
    w, loss = run.curve("w_l1")[1][-1], run.curve("loss")[1][-1]
    axis.plot(w, loss, marker="o", markersize=4, color=color, zorder=5)
    place = {"xytext": (6, up), "textcoords": "offset points"}
    axis.annotate(f"{value(run, 'min_loss'):.2g}", (w, loss), color=color, fontsize=8, **place)
