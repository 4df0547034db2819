"""One look for all figures: a colour-blind-safe palette (Okabe and Ito), thin axes, legible at a README's width."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from src.tracking.files import atomic_write

REAL, COMPLEX, TARGET, BOUND = "#0072B2", "#D55E00", "#4D4D4D", "#000000"
CYCLE = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00")
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
}


@contextmanager
def style() -> Iterator[None]:
    """Applies the look inside a `with` block and closes every figure that was opened there."""
    with matplotlib.rc_context(_RC):
        before = set(plt.get_fignums())
        try:
            yield
        finally:
            for number in set(plt.get_fignums()) - before:
                plt.close(number)


def panels(rows: int, columns: int, height: float = 2.3, **options) -> tuple[Figure, list[list[plt.Axes]]]:
    """Returns (figure, axes[row][column]) at full width, `height` inches a row; `options` go to `plt.subplots`."""
    figure, axes = plt.subplots(rows, columns, figsize=(WIDTH, height * rows + 0.5), squeeze=False, **options)
    return figure, axes.tolist()


def legend_above(figure: Figure, handles: list, columns: int | None = None) -> None:
    """One legend for the whole figure, in a line above its panels."""
    figure.legend(handles=handles, loc="outside upper center", ncols=columns or len(handles))


def save(figure: Figure, path: Path) -> None:
    """Writes a PNG, whole or not at all, with no date in it: equal data give equal files."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    atomic_write(path, buffer.getvalue())
