"""P2's statements in numbers (arXiv 2410.14067): `python -m src.report theory-bounds [--out FOLDER]`; every PNG has its CSV beside it.

| picture      | statement         | shows                                                                            |
|--------------|-------------------|----------------------------------------------------------------------------------|
| sizes        | Propositions 1, 3 | t states answer exactly in both fields; only real parameters grow exponentially   |
| explicit     | Proposition 3     | the explicit complex solution: its error in float64, its norms and their bounds   |
| descent      | Proposition 4     | how the parameters of a real SSM grow in gradient descent, against the bound      |
| quantisation | Proposition 5     | error after A, B and C are quantised, real against complex                       |
| states       | Theorem 1         | number of real states: as printed, as proved, and enough                          |
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ..errors import UserError
from ..sweep.cli import SuggestingParser
from ..tables import Table
from ..tracking.files import atomic_write
from . import style
from . import theory_bounds_data as data

NAME = "theory-bounds"
LEAST = style.CYCLE[2]


def main(arguments: list[str]) -> int:
    """The command line; returns its exit code. Raises UserError for a folder that cannot be written to."""
    parser = SuggestingParser(prog=f"python -m src.report {NAME}", description="P2's statements in numbers")
    parser.add_argument("--out", type=Path, default=Path("runs/report"), metavar="FOLDER", help="default: runs/report")
    parser.add_argument("--only", nargs="+", choices=tuple(PICTURES), default=tuple(PICTURES), help="some of them")
    args: argparse.Namespace = parser.parse_args(arguments)
    try:
        args.out.mkdir(parents=True, exist_ok=True)
        for name in args.only:
            make, draw, says = PICTURES[name]
            table = make()
            atomic_write(args.out / f"bounds-{name}.csv", table.csv().encode())
            with style.style():
                style.save(draw(table), args.out / f"bounds-{name}")
            print(f"{args.out / f'bounds-{name}.png'}: {says(table)}", flush=True)
    except OSError as error:
        raise UserError(f"{args.out}: the pictures cannot be written ({error.strerror})") from None
    return 0


def _panels(table: Table, x: str, curves: dict[str, dict], ylabel: str, scale: str = "log") -> Figure:
    """One panel a target: the table's columns `curves` (with their line styles) against x."""
    titles = list(dict.fromkeys(row[0] for row in table.rows))
    figure, (axes,) = style.panels(1, len(titles), 2.4, sharex=True, sharey=True)
    for axis, title in zip(axes, titles, strict=True):
        rows = [row for row in table.rows if row[0] == title]
        horizontal = [row[list(table.columns).index(x)] for row in rows]
        for name, look in curves.items():
            values = np.array([row[list(table.columns).index(name)] for row in rows], dtype=float)
            axis.plot(horizontal, np.where(values > 0, values, np.nan), **look)
        axis.set(title=title, xlabel=x, yscale="log")
        if scale == "log":
            axis.set_xscale("log", base=2)
    axes[0].set_ylabel(ylabel)
    style.legend_above(figure, [Line2D([], [], label=name, **look) for name, look in curves.items()])
    return figure


def _look(color: str, linestyle="-", marker: str = "o") -> dict:
    return {"color": color, "linestyle": linestyle, "marker": marker, "markersize": 3.5, "linewidth": 1.4}


def _sizes(table: Table) -> Figure:
    curves = {
        "real ||w||_1": _look(style.REAL),
        "least ||w||_1": _look(style.BOUND, style.DASHED, ""),
        "complex ||w||_1": _look(style.COMPLEX),
    }
    return _panels(table, "t", curves, r"$\|w\|_1$ of an exact answer")


def _explicit(table: Table) -> Figure:
    curves = {
        "L1 error": _look(style.COMPLEX),
        "||B||_2": _look(style.CYCLE[2]),
        "its bound": _look(style.BOUND, style.DASHED, ""),
    }
    return _panels(table, "t", curves, "complex, $n=t$")


def _descent(table: Table) -> Figure:
    curves = {"growth": _look(style.REAL, marker=""), "bound": _look(style.BOUND, style.DASHED, "")}
    return _panels(table, "step", curves, r"growth of $\max(|B|,|C|)$", scale="linear")


def _quantisation(table: Table) -> Figure:
    curves = {
        "real": _look(style.REAL),
        "least, real": _look(style.BOUND, style.DASHED, ""),
        "complex": _look(style.COMPLEX),
    }
    return _panels(table, "bits", curves, f"median L1 error, $t={data.QUANTISED_T}$", scale="linear")


def _states(table: Table) -> Figure:
    looks = {
        "as printed": _look(style.COMPLEX, style.DASHED, ""),
        "enough": _look(style.REAL),
        "limit of enough": _look(style.REAL, style.DOTTED, ""),
        "Lemma 4": _look(LEAST, marker="s"),
        "corrected": _look(style.BOUND, style.DASHED, ""),
    }
    figure, ((axis,),) = style.panels(1, 1, 3.2)
    t = [row[0] for row in table.rows]
    for name, look in looks.items():
        share = [row[list(table.columns).index(name)] / row[0] for row in table.rows]
        axis.plot(t, share, label=name, **look)
    axis.set(xscale="log", xlabel="$t$", ylabel="states / $t$", ylim=(0, 0.2))
    axis.set_title(f"Theorem 1 at the smallest angle, L1 error {data.THEOREM1_EPS:g}")
    axis.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure


def _largest(table: Table, column: str) -> float:
    index = list(table.columns).index(column)
    return max(row[index] for row in table.rows)


def _says_descent(table: Table) -> str:
    growth, bound = (list(table.columns).index(name) for name in ("growth", "bound"))
    return f"growth is at most {max(row[growth] / row[bound] for row in table.rows):.1%} of Proposition 4's bound"


def _says_states(table: Table) -> str:
    broken = [row[0] for row in table.rows if row[5] < row[2]]
    return f"fewer states than printed are enough at t = {', '.join(map(str, broken)) or 'none of these'}"


PICTURES: dict[str, tuple[Callable[[], Table], Callable[[Table], Figure], Callable[[Table], str]]] = {
    "sizes": (
        data.sizes,
        _sizes,
        lambda table: (
            f"exact answers, ||w||_1 up to {_largest(table, 'real ||w||_1'):.1e} real, "
            f"{_largest(table, 'complex ||w||_1'):.2g} complex"
        ),
    ),
    "explicit": (
        data.explicit,
        _explicit,
        lambda table: f"L1 error at most {_largest(table, 'L1 error'):.1e} in float64",
    ),
    "descent": (data.descent, _descent, _says_descent),
    "quantisation": (data.quantisation, _quantisation, lambda table: f"medians of {data.DRAWS} draws"),
    "states": (data.states, _states, _says_states),
}
