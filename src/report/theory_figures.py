"""Pictures of the theory experiment: impulse responses, losses, and the size of the parameters against P2's Theorem 2.

P2 = arXiv 2410.14067. All runs given to a function are of one variant; a panel is a target, a row of panels a field.
"""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ..theory.bounds import theorem2
from . import style
from .collect import Record
from .page import Pictures
from .theory_tables import TITLES, choice, only, tasks_of, value, values_of

SMALL_ERROR = 0.01  # relative L1 error at which the size figure shows what Theorem 2 asks for
FIELDS = {False: ("real", style.REAL), True: ("complex", style.COMPLEX)}
CAPTIONS = {
    "responses": "Learned impulse responses at the least squared error of their training: the best real run, the worst complex seed.",
    "losses": "Squared L2 error over training (the zero map has 1). Faint: every run; bold: the best real run, the worst complex seed.",
    "parameters": "n max|CB| over training, beside what Theorem 2 proves that a real SSM needs. Faint: every run; bold: as above.",
}
_BOUND_LINE = {"color": style.BOUND, "linewidth": 1.4, "linestyle": (0, (4, 2))}
_DASHES = ("-", (0, (4, 2)), (0, (1, 1.2)), (0, (6, 1.5, 1, 1.5)))  # lines of equal runs stay visible under each other


def pictures(records: list[Record], ending: str = "") -> Pictures:
    """Draws the three figures of finished runs."""
    done = [record for record in records if record.done]
    tasks = tasks_of(done)
    for draw in (responses, losses, parameters):
        yield f"{draw.__name__}{ending}", draw(done, tasks), CAPTIONS[draw.__name__]


def responses(records: list[Record], tasks: list[str]) -> Figure:
    """Learned against target impulse responses: the best real run of each target, the worst complex seed."""
    rows = _response_rows(records)
    figure, axes = style.panels(len(rows), len(tasks), 2.0)
    for line, (field, N, L) in zip(axes, rows, strict=True):
        name, color = FIELDS[field]
        for axis, task in zip(line, tasks, strict=True):
            record = choice(field)(only(records, complex_option=field, N=N, L=L, task_name=task))
            if record is not None and {"target", "response_at_min"} <= record.arrays.keys():
                _response(axis, record, color)
            axis.set_title(TITLES[task] if line is axes[0] else "", loc="left")
        line[0].set_ylabel(f"{name}\n$n={N}$, $t={L}$")
    for axis in axes[-1]:
        axis.set_xlabel("time step $k$")
    target = Line2D([], [], color=style.TARGET, marker="o", markerfacecolor="white", markersize=4.5, linewidth=0.8)
    target.set_label("target")
    names = {False: "real SSM, best run", True: "complex SSM, worst seed"}
    shown = sorted({field for field, _, _ in rows})
    style.legend_above(figure, [target, *[_key(FIELDS[field][1], names[field]) for field in shown]])
    return figure


def _response_rows(records: list[Record]) -> list[tuple[bool, int, int]]:
    """(field, N, L) of each row: the real sizes (at most three), the complex ones of the same t, and the longest complex one."""
    real = values_of(only(records, complex_option=False), "L", "N")[:3]
    complex_ = values_of(only(records, complex_option=True), "L", "N")
    lengths = {L for L, _ in real}
    kept = [(L, N) for L, N in complex_ if L in lengths][:3] or complex_[:1]
    kept += [complex_[-1]] if complex_ and complex_[-1] not in kept else []
    return [(False, N, L) for L, N in real] + [(True, N, L) for L, N in kept]


def _response(axis: plt.Axes, record: Record, color: str) -> None:
    phi, K = record.arrays["target"], record.arrays["response_at_min"]
    k = np.arange(len(phi))
    if len(phi) <= 64:
        rings = {"marker": "o", "markersize": 5, "markerfacecolor": "white", "markeredgewidth": 0.9, "linewidth": 0.8}
        axis.plot(k, phi, color=style.TARGET, **rings)
        axis.plot(k, K, color=color, linewidth=1.5, marker="o", markersize=2.5)
    else:
        axis.plot(k, phi, color=style.TARGET, linewidth=2.6, alpha=0.35)
        axis.plot(k, K, color=color, linewidth=0.8)
    text = f"error {_power(value(record, 'min_loss'))}, seed {record.config['seed']}"
    axis.set_title(text, loc="right", color=color, fontsize=9)


def losses(records: list[Record], tasks: list[str]) -> Figure:
    """Squared error over training: every run faint, the one that the table shows bold; the zero map is the line at 1."""
    fields = [field for (field,) in values_of(records, "complex_option")]
    figure, axes = style.panels(len(fields), len(tasks), 2.2, sharex=True, sharey="row")
    for field, line in zip(fields, axes, strict=True):
        keys = _loss_row(line, only(records, complex_option=field), tasks, field)
        line[0].set_ylabel(f"{FIELDS[field][0]}\nsquared L2 error")
        line[0].annotate(
            "zero map", (0.98, 1.0), xycoords=("axes fraction", "data"), ha="right", va="bottom", fontsize=8
        )
        line[-1].legend(handles=keys, loc="center left", bbox_to_anchor=(1.0, 0.5))
    for axis, task in zip(axes[0], tasks, strict=True):
        axis.set_title(TITLES[task])
    _steps(axes[-1])
    return figure


def _loss_row(axes: list[plt.Axes], records: list[Record], tasks: list[str], field: bool) -> list[Line2D]:
    """One row of panels. Colours tell optimizers apart for real runs, t for complex ones; returns the legend's keys."""
    key, label = ("L", "$t={}$") if field else ("opt", "{}")
    items = [item for (item,) in values_of(records, key)]
    dashes = ["-"] * len(items) if field else [_DASHES[i % len(_DASHES)] for i in range(len(items))]
    colors = [style.CYCLE[i % len(style.CYCLE)] for i in range(len(items))]
    for axis, task in zip(axes, tasks, strict=True):
        axis.axhline(1.0, color=style.TARGET, linewidth=0.8, linestyle=(0, (1, 2)))
        for item, color, dash in zip(items, colors, dashes, strict=True):
            runs = only(records, task_name=task, **{key: item})
            axis.add_collection(LineCollection([_loss(run) for run in runs], colors=color, linewidths=0.7, alpha=0.25))
            chosen = choice(field)(runs)
            if chosen is not None:
                axis.plot(*_loss(chosen).T, color=color, linestyle=dash, linewidth=1.8)
        axis.autoscale_view()
    if min((value(record, "min_loss") for record in records), default=0.0) > 0.1:
        axes[0].set_ylim(0, 1.1)
    else:
        axes[0].set_yscale("log")
    return [_key(c, label.format(item), d) for c, item, d in zip(colors, items, dashes, strict=True)]


def _loss(record: Record) -> np.ndarray:
    """Returns the loss curve as points (rows, 2), without what a logarithmic axis cannot show."""
    points = np.stack(record.curve("loss"), axis=1)
    return points[np.isfinite(points[:, 1]) & (points[:, 1] > 0)]


def parameters(records: list[Record], tasks: list[str]) -> Figure:
    """n max|C o B| over training, and the least that a real SSM needs for a small error (Theorem 2), at one t."""
    t = values_of(only(records, complex_option=False) or records, "L")[0][0]
    records = only(records, L=t)
    fields = [field for (field,) in values_of(records, "complex_option")]
    figure, (line,) = style.panels(1, len(tasks), 2.6, sharex=True, sharey=True)
    for axis, task in zip(line, tasks, strict=True):
        runs = only(records, task_name=task)
        for field in fields:
            _sizes(axis, only(runs, complex_option=field), field)
        needed = _needed(runs)
        if needed:
            axis.axhline(needed, **_BOUND_LINE)
            axis.annotate(_power(needed), (0.98, needed), xycoords=("axes fraction", "data"), ha="right", va="bottom")
        axis.set_yscale("log")
        axis.margins(y=0.1)
        axis.set_title(f"{TITLES[task]}, $t={t}$")
    line[0].set_ylabel(r"$n\,\max_j |C_j B_j|$")
    _steps(line)
    bound = Line2D([], [], label=f"Theorem 2's bound for a real SSM at {SMALL_ERROR:.0%} L1 error", **_BOUND_LINE)
    style.legend_above(figure, [*[_key(FIELDS[field][1], f"{FIELDS[field][0]} SSM") for field in fields], bound])
    return figure


def _sizes(axis: plt.Axes, records: list[Record], field: bool) -> None:
    color, chosen = FIELDS[field][1], choice(field)(records)
    for record in records:
        steps, largest = record.curve("max_CB")
        bold = {"linewidth": 2.0, "zorder": 3} if record is chosen else {"linewidth": 0.7, "alpha": 0.25}
        axis.plot(steps, record.config["N"] * largest, color=color, **bold)


def _needed(records: list[Record]) -> float | None:
    """Theorem 2's requirement at SMALL_ERROR for the target of the first seed."""
    for record in sorted(records, key=lambda record: record.config["seed"]):
        if "target" in record.arrays:
            phi = record.arrays["target"]
            return theorem2(phi, SMALL_ERROR * float(np.abs(phi).sum()))
    return None


def _steps(axes: list[plt.Axes]) -> None:
    for axis in axes:
        axis.set_xlabel("step")
        axis.xaxis.set_major_locator(plt.MaxNLocator(3))
        axis.xaxis.set_major_formatter(lambda x, _: f"{x / 1000:g}k" if abs(x) >= 1000 else f"{x:g}")


def _key(color: str, label: str, linestyle: str | tuple = "-") -> Line2D:
    return Line2D([], [], color=color, label=label, linestyle=linestyle)


def _power(x: float) -> str:
    """0.62 as it is, 1.1e-12 with a power of ten."""
    mantissa, exponent = f"{x:.1e}".split("e")
    return f"{x:.2g}" if 1e-3 <= x < 1000 else rf"${mantissa}\times 10^{{{int(exponent)}}}$"
