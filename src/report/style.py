"""One look for all figures: a colour-blind-safe palette (Okabe and Ito), thin axes, legible at a README's width.

Matplotlib is imported where something is drawn: a report that finds nothing changed does not wait for it.
"""

import io
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from ..tracking.files import atomic_write

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

REAL, COMPLEX, TARGET, BOUND = "#0072B2", "#D55E00", "#4D4D4D", "#000000"
CYCLE = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00")
DASHED, DOTTED = (0, (3, 1.5)), (0, (1, 2))
_HANDLE, _LINE = 7, 118  # characters: of a legend's line and gap, and of a line of it at full width
WIDTH = 9.0  # inches; at 200 dots an inch a README shows it at about half size

_RC = {
    "figure.dpi": 100,
    "savefig.dpi": 200,
    "figure.constrained_layout.use": True,
    "font.size": 10,
    "axes.titlesize": 10.5,
    "axes.labelsize": 10,
    "legend.fontsize": 9,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.8,
    "axes.grid": True,
    "grid.color": "#E6E6E6",
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "lines.linewidth": 1.8,
    "lines.solid_capstyle": "round",
    "svg.hashsalt": "ssm-experiments",
}
_UNDATED = {"png": {"Software": None}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}


@contextmanager
def style() -> Iterator[None]:
    """Applies the look inside a `with` block and closes every figure that was opened there."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    with matplotlib.rc_context(_RC):
        before = set(plt.get_fignums())
        try:
            yield
        finally:
            for number in set(plt.get_fignums()) - before:
                plt.close(number)


def panels(rows: int, columns: int, height: float = 2.3, **options) -> tuple["Figure", list[list["Axes"]]]:
    """Returns (figure, axes[row][column]) at full width, `height` inches a row; `options` go to `plt.subplots`."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(rows, columns, figsize=(WIDTH, height * rows + 0.5), squeeze=False, **options)
    return figure, axes.tolist()


def key(color: str, label: str, linestyle="-", marker: str | None = None, linewidth: float = 1.6) -> "Line2D":
    """Returns an entry of a legend."""
    from matplotlib.lines import Line2D

    return Line2D(
        [], [], color=color, label=label, linestyle=linestyle, marker=marker, markersize=4.5, linewidth=linewidth
    )


def curve(
    axis: "Axes", x: Sequence[float], y: Sequence[float], color: str, linestyle="-", linewidth: float = 1.0
) -> None:
    """Draws a line, or a point where there is one value only: no line goes through a single point."""
    if len(x) == 1:
        face = color if linestyle == "-" else "none"
        axis.plot(x, y, color=color, linestyle="", marker="o", markersize=4, markerfacecolor=face)
    else:
        axis.plot(x, y, color=color, linestyle=linestyle, linewidth=linewidth)


def whole_numbers(axis: "Axes") -> None:
    """Puts the ticks of x on whole numbers (epochs)."""
    axis.xaxis.get_major_locator().set_params(integer=True)


def legend_above(figure: "Figure", handles: list, columns: int | None = None) -> None:
    """One legend for the whole figure above its panels, in as few lines as its width allows."""
    columns = columns or _columns_that_fit([len(handle.get_label()) + _HANDLE for handle in handles])
    figure.legend(handles=handles, loc="outside upper center", ncols=columns)


def _columns_that_fit(widths: list[int]) -> int:
    """Most columns of a legend whose widest entries, in characters, stand side by side; it is filled column by column."""
    for columns in range(len(widths), 1, -1):
        short, longer = divmod(len(widths), columns)  # so many columns have one entry more, the first ones
        starts = [short * i + min(i, longer) for i in range(columns + 1)]
        if sum(max(widths[a:b]) for a, b in pairwise(starts)) <= _LINE:
            return columns
    return 1


def save(figure: "Figure", path: Path, formats: Iterable[str] = ("png",)) -> list[Path]:
    """Writes the picture in each format, whole or not at all, with no date in it: equal data give equal files; returns the paths."""
    paths = []
    for ending in formats:
        buffer = io.BytesIO()
        figure.savefig(buffer, format=ending, metadata=_UNDATED[ending])
        paths.append(path.with_suffix(f".{ending}"))
        atomic_write(paths[-1], buffer.getvalue())
    return paths
