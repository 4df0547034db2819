"""The report of the ablation (P1 = arXiv 2310.01698, Section 5.3, Fig. 3c): accuracy and cond(V) against the size of E."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from src.report import style
from src.report.by_setting import Layout, write_report
from src.report.collect import Record
from src.report.seeds import grouped, mean_of
from src.tables import Table

PREFIX = "ablation"
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
COLUMNS = ["model", "E", "||E||/||A||", "cond(V)", "max Re", "seeds", "val", "test", "train"]
COLORS = {"s4d": style.COMPLEX, "s4": style.TARGET, "optimised": style.REAL, "random": style.CYCLE[1]}
NAMES = {"s4d": "S4D", "s4": "S4", "optimised": "S4-PTD, optimised E", "random": "S4-PTD, random E of equal size"}
MARKERS = {"optimised": "o", "random": "s"}
NOTE = (
    "Mean over seeds with the 95 % interval of the mean; a random E is another one for each seed (cond: the largest). max Re above 0: "
    "A_H + E is unstable and its eigenvalues were reflected."
)
CAPTION = (
    "Left: test accuracy after the last epoch against the size of E, with S4D and S4 as lines; right: condition of the eigenvectors. "
    "Faint: single runs; the shaded range is the one that the paper calls best."
)


def report(folders: Sequence[Path] | Path) -> str:
    """Writes ablation.md, ablation.csv and a figure for each setting; see `write_report`."""
    return write_report(LAYOUT, folders)


def kind(record: Record) -> str:
    """Returns 's4d', 's4', 'optimised' or 'random'."""
    return record.config["perturbation"] or record.config["model"]


def _points(runs: list[Record]) -> dict[tuple[str, float], list[Record]]:
    """Runs by (kind, size of E), baselines first, then by falling size; a size counts to 6 digits."""
    order = list(NAMES)
    ranked = sorted(runs, key=lambda r: (order.index(kind(r)), -(r.result["E_size"] or 0), r.config["seed"]))
    return grouped(ranked, lambda r: (kind(r), float(f"{r.result['E_size'] or 0:.6g}")))


def accuracies(runs: list[Record]) -> Table:
    """One row for each model and size of E."""
    table = Table(COLUMNS, notes=[NOTE])
    for (_, size), own in _points(runs).items():
        E = own[0].config["perturbation"]
        figures = [size, *(max(run.result[f"E_{name}"] for run in own) for name in ("cond", "max_real") if E)]
        means = [str(mean_of(run.result[f"{part}_accuracy"] for run in own)) for part in ("val", "test", "train")]
        table.rows.append([own[0].config["model"], E or "-", *(figures if E else [None] * 3), len(own), *means])
    return table


def figure(runs: list[Record]) -> Figure:
    """Accuracy and cond(V) against ||E||_2 / ||A_H||_2."""
    drawn, (line,) = style.panels(1, 2, 3.0)
    points = _points(runs)
    for which in ("optimised", "random"):
        own = {size: same for (k, size), same in points.items() if k == which}
        look = {"color": COLORS[which], "marker": MARKERS[which], "markersize": 5}
        line[0].plot(
            list(own), [mean_of(r.result["test_accuracy"] for r in same).mean for same in own.values()], **look
        )
        for size, same in own.items():
            dots = [r.result["test_accuracy"] for r in same]
            line[0].plot([size] * len(dots), dots, linestyle="", alpha=0.35, **look)
        line[1].plot(list(own), [max(r.result["E_cond"] for r in same) for same in own.values()], **look)
    for which in ("s4d", "s4"):
        own = points.get((which, 0.0), [])
        if own:
            line[0].axhline(mean_of(r.result["test_accuracy"] for r in own).mean, color=COLORS[which], linewidth=1.5)
    for axis in line:
        axis.axvspan(1e-2, 1, color="#000000", alpha=0.04, linewidth=0)
        axis.set_xscale("log")
        axis.set_xlabel(r"$\|E\|_2\,/\,\|A_H\|_2$")
    line[1].set_yscale("log")
    line[0].set_ylabel("test accuracy")
    line[1].set_ylabel(r"$\kappa(V)$")
    present = [which for which in NAMES if any(k == which for k, _ in points)]
    keys = [
        Line2D([], [], color=COLORS[k], label=NAMES[k], marker=MARKERS.get(k), markersize=5, linewidth=1.6)
        for k in present
    ]
    style.legend_above(drawn, keys)
    return drawn


def _figures(runs: list[Record], out: Path, ending: str) -> dict[Path, str]:
    if not any(run.config["perturbation"] for run in runs):
        return {}
    path = out / f"{PREFIX}{ending}.png"
    with style.style():
        style.save(figure(runs), path)
    return {path: CAPTION}


LAYOUT = Layout(
    prefix=PREFIX,
    title="Ablation",
    headline="Ablation: the size of the perturbation",
    compared=COMPARED,
    tables={"": (COLUMNS, accuracies)},
    figures=_figures,
)
