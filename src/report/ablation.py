"""The report of the ablation (P1 = arXiv 2310.01698, Section 5.3, Fig. 3c): accuracy and cond(V) against the size of E."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..tables import Table
from . import style
from .by_setting import Layout, write_report
from .collect import Record
from .compare import against_best
from .options import DEFAULT, Options
from .page import Pictures
from .reporters import ABLATION
from .settings import grouped, mean, result

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COMPARED = (
    "model",
    "seed",
    "perturbation",
    "perturbation_hash",
    "delta",
    "size",
    "objective",
    "solver_lr",
    "solver_iterations",
)
ACCURACIES = ("val_accuracy", "test_accuracy", "train_accuracy")
FIGURES = ("||E||/||A||", "reflected to", "cond(V)", "max Re")
COLUMNS = ["model", "perturbation", *FIGURES, "seeds", *ACCURACIES]
COLORS = {
    "s4d": style.COMPLEX,
    "s4": style.TARGET,
    "optimised": style.REAL,
    "cond": style.CYCLE[2],
    "random": style.CYCLE[1],
}
NAMES = {
    "s4d": "S4D",
    "s4": "S4",
    "optimised": "S4-PTD, optimised E",
    "cond": "S4-PTD, E for least cond(V) alone",
    "random": "S4-PTD, random E of equal size",
}
MARKERS = {"optimised": "o", "cond": "^", "random": "s"}
NOTE = (
    "Accuracies in percent: mean over seeds ± 95 % interval (Student); * is the best. "
    "A random E is another one for each seed (the largest is shown). max Re above 0: "
    "A_H + E is unstable; its eigenvalues were reflected, which makes an E of the size that follows."
)
CAPTION = (
    "Left: test accuracy after the last epoch against the size of E, with S4D and S4 as lines; right: condition of the eigenvectors. "
    "Faint: single runs; the shaded range is the one that the paper calls best."
)


def report(
    folders: Sequence[Path] | Path,
    options: Options = DEFAULT,
    *,
    expected: int | None = None,
) -> str:
    """Writes ablation.md, CSV files and a picture for each setting; see `write_report`."""
    return write_report(LAYOUT, folders, options, expected)


def kind(record: Record) -> str:
    """Returns 's4d', 's4' or how E was found."""
    return record.config["perturbation"] or record.config["model"]


def _points(runs: list[Record]) -> dict[tuple[str, float], list[Record]]:
    """Runs by (kind, size of E as it was found), baselines first, then by falling size; a size counts to 6 digits."""
    order, size = list(NAMES), lambda run: run.result["E_found_size"] or 0
    ranked = sorted(runs, key=lambda r: (order.index(kind(r)), -size(r), r.config["seed"]))
    return grouped(ranked, lambda r: (kind(r), float(f"{size(r):.6g}")))


def _figures(runs: list[Record]) -> list[float | None]:
    """What `FIGURES` names, the largest of the runs; of a baseline nothing."""
    worst = lambda name: max((x for run in runs if (x := run.result[name]) is not None), default=None)
    found, trained = worst("E_found_size"), worst("E_size")
    return [found, trained if trained != found else None, worst("E_cond"), worst("E_found_max_real")]


def accuracies(runs: list[Record]) -> Table:
    """One row for each model and size of E."""
    table = Table(COLUMNS, notes=[NOTE], best=dict.fromkeys(ACCURACIES, "max"))
    for own in _points(runs).values():
        config, means = own[0].config, [mean(own, result(name, 100)) for name in ACCURACIES]
        table.rows.append([config["model"], config["perturbation"] or "-", *_figures(own), len(own), *means])
    return table


def differences(runs: list[Record]) -> Table:
    """How far the best in test is ahead of each other one, paired over seeds."""
    test = result("test_accuracy", 100)
    ranked = sorted(_points(runs).items(), key=lambda item: -mean(item[1], test).value)
    named = {NAMES[which] + (f" {size:g}" if size else ""): own for (which, size), own in ranked}
    table = against_best(named, test, lambda r: r.config["seed"]) if named else Table([])
    table.title = "test_accuracy, paired"
    return table


def single(runs: list[Record]) -> Table:
    """One row a run."""
    table = Table([*COLUMNS[:-4], "seed", *ACCURACIES, "folder"], title="Single runs", grouped=2)
    for own in _points(runs).values():
        for run in own:
            shares = [round(100 * run.result[name], 2) for name in ACCURACIES]
            names = [run.config["model"], run.config["perturbation"] or "-"]
            table.rows.append([*names, *_figures([run]), run.config["seed"], *shares, run.key])
    return table


def figure(runs: list[Record]) -> "Figure":
    """Accuracy and cond(V) against ||E||_2 / ||A_H||_2."""
    drawn, (line,) = style.panels(1, 2, 3.0)
    points = _points(runs)
    for which in MARKERS:
        own = {size: same for (k, size), same in points.items() if k == which}
        look = {"color": COLORS[which], "marker": MARKERS[which], "markersize": 5}
        means = [mean(same, result("test_accuracy")).value for same in own.values()]
        line[0].plot(list(own), means, **look)
        for size, same in own.items():
            dots = [r.result["test_accuracy"] for r in same]
            line[0].plot([size] * len(dots), dots, linestyle="", alpha=0.35, **look)
        line[1].plot(list(own), [max(r.result["E_cond"] for r in same) for same in own.values()], **look)
    for which in ("s4d", "s4"):
        own = points.get((which, 0.0), [])
        if own:
            line[0].axhline(mean(own, result("test_accuracy")).value, color=COLORS[which], linewidth=1.5)
    for axis in line:
        axis.axvspan(1e-2, 1, color="#000000", alpha=0.04, linewidth=0)
        axis.set_xscale("log")
        axis.set_xlabel(r"$\|E\|_2\,/\,\|A_H\|_2$")
    line[1].set_yscale("log")
    line[0].set_ylabel("test accuracy")
    line[1].set_ylabel(r"$\kappa(V)$")
    present = [which for which in NAMES if any(k == which for k, _ in points)]
    keys = [style.key(COLORS[k], NAMES[k], "-", MARKERS.get(k)) for k in present]
    style.legend_above(drawn, keys)
    return drawn


def _pictures(runs: list[Record], ending: str) -> Pictures:
    if any(run.config["perturbation"] for run in runs):
        yield f"{ABLATION}{ending}", figure(runs), CAPTION


LAYOUT = Layout(
    prefix=ABLATION,
    title="Ablation",
    headline="Ablation: the size of the perturbation",
    compared=COMPARED,
    shown=accuracies,
    further=[differences],
    single=single,
    pictures=_pictures,
)
