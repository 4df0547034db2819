"""Pictures of the robustness experiment: accuracy over epochs (P1's Fig. 3a, b), over frequency with |G_Diag| behind it, over strength.

P1 = arXiv 2310.01698. The frequency picture is the paper's claim in one view: S4D fails at its spikes and nowhere else.
"""

from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ..linalg.legs_transfer import g_diag_from_dplr, g_dplr, pole_frequencies
from . import style
from .collect import Record
from .page import Pictures
from .statistics import Estimate, t_interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

Variants = dict[tuple[str, str], list[Record]]
COLORS = {
    "s4d": style.COMPLEX,
    "s4-ptd": style.REAL,
    "s4": style.TARGET,
    "s5": style.CYCLE[3],
    "s5-ptd": style.CYCLE[2],
}
MARKERS = {"s4d": "o", "s4-ptd": "s", "s4": "D", "s5": "^", "s5-ptd": "v"}
FURTHER = (
    (style.CYCLE[1], "P"),
    (style.CYCLE[4], "X"),
    (style.CYCLE[3], "^"),
    (style.CYCLE[2], "v"),
)  # more E of one model
NAMES = {"s4d": "S4D", "s4-ptd": "S4-PTD", "s4": "S4", "s5": "S5", "s5-ptd": "S5-PTD"}
OTHERS = ("white", "input", "pixels", "mask", "corruption")
TITLES = {
    "white": "white noise,\nlayer inputs",
    "input": "spike mode,\npixels",
    "pixels": "white noise,\npixels",
    "mask": "masked pixels",
    "corruption": "corruptions of the image",
}
CAPTIONS = {
    "training": "Test accuracy over training, without noise (solid) and with a Fourier mode at S4D's last spike in every layer "
    "(dashed); right: after training, against that mode's amplitude. Thin lines: single seeds; bands: 95 % intervals.",
    "frequency": "Test accuracy against the frequency of the mode, at each amplitude; grey: |G_Diag| of S4D, whose peaks are the spikes.",
    "others": "Test accuracy under noise that is not worst-case, after training; dotted: without noise.",
}


class Look(NamedTuple):
    """How the curves of a variant are drawn."""

    color: str
    marker: str


def looks(variants: Iterable[tuple[str, str]]) -> dict[tuple[str, str], Look]:
    """Returns a look for each (model, E): the model's own for its first E, another for each further one."""
    found: dict[tuple[str, str], Look] = {}
    further = iter(FURTHER)
    seen: set[str] = set()
    for model, E in variants:
        own = Look(COLORS[model], MARKERS[model])
        free = (Look(*pair) for pair in further if pair[0] not in {look.color for look in found.values()})
        found[model, E] = own if model not in seen else next(free, own)
        seen.add(model)
    return found


def pictures(variants: Variants, ending: str) -> Pictures:
    """Draws the pictures of one setting. What was not probed has no picture."""
    for draw in (training, frequency, others):
        figure = draw(variants)
        if figure is not None:
            yield f"robustness-{draw.__name__}{ending}", figure, CAPTIONS[draw.__name__]


def training(variants: Variants) -> "Figure | None":
    """Accuracy over epochs, clean and noisy, and against the amplitude at the last spike."""
    probed = [levels for runs in variants.values() if (levels := _sweep(runs, "amplitude"))]
    watched = all(len(_epochs(run, "noisy/accuracy")) for runs in variants.values() for run in runs)
    if not (probed or watched):
        return None
    figure, (line,) = style.panels(1, bool(probed) + watched, 2.9, sharey=True)
    look = looks(variants)
    for name, runs in variants.items() if watched else ():
        color = look[name].color
        for measure, dash in (("test/accuracy", "-"), ("noisy/accuracy", (0, (3, 1.5)))):
            curves = [_epochs(run, measure) for run in runs]
            _seeds(line[0], np.arange(1, 1 + min(map(len, curves))), curves, color, dash)
    if watched:
        line[0].set(xlabel="epoch")
        style.whole_numbers(line[0])
    if probed:
        for name, runs in variants.items():
            _levels(line[-1], _sweep(runs, "amplitude"), look[name])
        line[-1].set_xscale("log")
        line[-1].set(xlabel="amplitude of the mode at the last spike")
    line[0].set(ylabel="test accuracy")
    kinds = [style.key(style.BOUND, "clean"), style.key(style.BOUND, "with noise", (0, (3, 1.5)))] if watched else []
    style.legend_above(figure, [*_keys(variants), *kinds])
    return figure


def frequency(variants: Variants) -> "Figure | None":
    """Accuracy against omega, a panel for each amplitude, |G_Diag| behind."""
    amplitudes = sorted({p["level"] for runs in variants.values() for p in _probes(runs[0], "frequency")})
    if not amplitudes:
        return None
    figure, (line,) = style.panels(1, len(amplitudes), 3.0, sharey=True)
    n, look = next(iter(variants.values()))[0].config["n"], looks(variants)
    for axis, amplitude in zip(line, amplitudes, strict=True):
        for name, runs in variants.items():
            points = _sweep(runs, "frequency", "omega", lambda p, a=amplitude: p["level"] == a)
            _levels(axis, points, look[name])
        axis.set_xscale("log")
        axis.set(xlabel=r"frequency $\omega$ of the noise", title=f"amplitude {amplitude:g}")
        _spectrum(axis, n, axis is line[-1])
    line[0].set_ylabel("test accuracy")
    style.legend_above(
        figure, [*_keys(variants), style.key("#999999", r"$|G_{\mathrm{Diag}}(i\omega)|$ of S4D, $C=e_0$")]
    )
    return figure


def _spectrum(axis: "Axes", n: int, labelled: bool) -> None:
    """|G_Diag| on an axis of its own behind the curves."""
    low, high = axis.get_xlim()
    near = (pole_frequencies(n)[:, None] + np.sinh(np.linspace(-3, 3, 41))).ravel()
    w = np.unique(np.concatenate([np.geomspace(low, high, 400), near[(near > low) & (near < high)]]))
    G = np.abs(g_diag_from_dplr(n, 1j * w, g_dplr(n, 1j * w)))
    behind = axis.twinx()
    behind.fill_between(w, G, color="#999999", alpha=0.3, linewidth=0)
    behind.plot(w, G, color="#999999", linewidth=0.9)  # a spike is thinner than a pixel: its outline shows it
    behind.set_ylim(0, 1.3)
    behind.grid(False)
    behind.spines["right"].set_visible(labelled)
    behind.tick_params(right=labelled, labelright=labelled, colors="#777777")
    if labelled:
        behind.set_ylabel(r"$|G_{\mathrm{Diag}}(i\omega)|$", color="#777777")
    axis.set_zorder(behind.get_zorder() + 1)
    axis.patch.set_visible(False)
    axis.set_xlim(low, high)


def others(variants: Variants) -> "Figure | None":
    """Accuracy under white noise, masks and corruptions."""
    shown = [group for group in OTHERS if any(_probes(runs[0], group) for runs in variants.values())]
    if not shown:
        return None
    look = looks(variants)
    widths = [2.4 if group == "corruption" else 1.0 for group in shown]
    figure, (line,) = style.panels(1, len(shown), 2.9, sharey=True, gridspec_kw={"width_ratios": widths})
    for axis, group in zip(line, shown, strict=True):
        for shift, (name, runs) in zip(np.linspace(-0.12, 0.12, max(2, len(variants))), variants.items(), strict=False):
            labels, means = _labelled(runs, group)
            x = np.arange(len(labels)) + shift
            _points(axis, x, means, look[name])
            clean = t_interval([p["accuracy"] for run in runs for p in _probes(run, "clean")])
            axis.axhline(clean.value, color=look[name].color, linewidth=0.9, linestyle=(0, (1, 2)))
            axis.set_xticks(range(len(labels)), labels, rotation=60 if group == "corruption" else 0, fontsize=8)
        axis.set_title(TITLES[group], fontsize=9.5)
    line[0].set_ylabel("test accuracy")
    style.legend_above(figure, _keys(variants, ""))
    return figure


def _labelled(runs: list[Record], group: str) -> tuple[list[str], list[Estimate]]:
    """The probes of a group in their order: label and mean over seeds."""
    listed = [_probes(run, group) for run in runs]
    corruption = group == "corruption"
    labels = [f"{p['kind']} {p['level']:g}" if corruption else f"{p['level']:g}" for p in listed[0]]
    return labels, [t_interval([p["accuracy"] for p in same]) for same in zip(*listed, strict=True)]


def _probes(run: Record, group: str) -> list[dict]:
    return [probe for probe in run.result["probes"] if probe["group"] == group]


def _sweep(runs: list[Record], group: str, by: str = "level", keep=lambda probe: True) -> dict[float, Estimate]:
    """Mean accuracy over seeds for each value of `by`."""
    values: dict[float, list[float]] = {}
    for run in runs:
        for probe in _probes(run, group):
            if keep(probe):
                values.setdefault(probe[by], []).append(probe["accuracy"])
    return {x: t_interval(values[x]) for x in sorted(values)}


def _levels(axis: "Axes", points: dict[float, Estimate], look: Look) -> None:
    if points:
        axis.plot(list(points), [p.value for p in points.values()], color=look.color, linewidth=1.3)
        _points(axis, list(points), list(points.values()), look)


def _points(axis: "Axes", x, means: list[Estimate], look: Look) -> None:
    """Markers, with intervals where there are three seeds or more (two give a width of no use)."""
    bars = [m.half_width if m.n > 2 else 0.0 for m in means]
    options = {"color": look.color, "marker": look.marker, "markersize": 4, "linestyle": "", "capsize": 2}
    axis.errorbar(x, [m.value for m in means], yerr=bars, elinewidth=0.9, **options)


def _epochs(run: Record, measure: str) -> np.ndarray:
    return run.curve(measure)[1]


def _seeds(axis: "Axes", x: np.ndarray, curves: list[np.ndarray], color: str, dash) -> None:
    """The mean over seeds; a band with three seeds or more, else each seed faint."""
    table = np.stack([curve[: len(x)] for curve in curves])
    axis.plot(x, table.mean(0), color=color, linestyle=dash, linewidth=1.8)
    if len(table) > 2:
        half = [t_interval(column).half_width for column in table.T]
        axis.fill_between(x, table.mean(0) - half, table.mean(0) + half, color=color, alpha=0.15, linewidth=0)
    elif len(table) == 2:
        axis.plot(x, table.T, color=color, linestyle=dash, linewidth=0.7, alpha=0.5)


def _keys(variants: Variants, line: str = "-") -> list["Line2D"]:
    several = Counter(model for model, _ in variants)
    return [
        style.key(look.color, NAMES[model] + (f" ({E})" if several[model] > 1 else ""), line, look.marker)
        for (model, E), look in looks(variants).items()
    ]
