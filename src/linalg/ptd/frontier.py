"""The frontier of objective 'cond': the least kappa(V) found for each size of E, beside random (Ginibre) perturbations.

arXiv 2310.01698, section 4 and appendix I: kappa grows like 1 / ||E|| as E shrinks (Theorem 5 there).
"""

import os
from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields, replace
from pathlib import Path

import numpy as np

from ...tables import Table
from .perturbation import random_perturbation
from .solver import Progress, solve
from .spec import Spec

SIZES = tuple(float(f"{size:.2g}") for size in np.geomspace(0.3, 1e-3, 12))
RANDOM_DRAWS = 9


@dataclass(frozen=True)
class FrontierPoint:
    """One row: the solved perturbation, and medians over random ones of the same ||E||_2."""

    n: int
    size: float  # ||E||_2 / ||A_H||_2
    size_frobenius: float  # ||E||_F / ||A_H||_F
    cond: float
    max_real: float
    iterations: int
    converged: bool
    random_cond: float
    random_max_real: float


def frontier(spec: Spec, sizes: Sequence[float] = SIZES, progress: Progress | None = None) -> list[FrontierPoint]:
    """Returns one point for each size, largest first; each solve starts from the one before.

    Args:
        spec: settings of a size problem of objective 'cond' in the spectral norm; its size is replaced.
        sizes: ||E||_2 / ||A_H||_2.
        progress: called with a line of text after every size.
    """
    points, found = [], None
    for size in sorted(sizes, reverse=True):
        found = solve(replace(spec, size=size), start=found)
        draws = [random_perturbation(spec.n, size, spec.seed + i, spec.real) for i in range(RANDOM_DRAWS)]
        points.append(
            FrontierPoint(
                n=spec.n,
                size=found.size,
                size_frobenius=found.size_frobenius,
                cond=found.cond,
                max_real=found.max_real,
                iterations=found.iterations,
                converged=found.converged,
                random_cond=float(np.median([draw.cond for draw in draws])),
                random_max_real=float(np.median([draw.max_real for draw in draws])),
            )
        )
        if progress:
            progress(
                f"size {found.size:.5f}  cond {found.cond:.3f}  max Re {found.max_real:.3f}  iterations {found.iterations}"
            )
    return points


def table(points: Sequence[FrontierPoint]) -> Table:
    """Returns the points, one a row, under the field names of `FrontierPoint`."""
    return Table([field.name for field in fields(FrontierPoint)], [astuple(point) for point in points])


def write_png(path: Path, points: Sequence[FrontierPoint]) -> None:
    """Draws kappa against ||E||_2 / ||A_H||_2 on log axes."""
    os.environ.setdefault("MPLBACKEND", "Agg")
    import matplotlib.pyplot as plt  # seconds to import, and only needed here

    figure, axes = plt.subplots(figsize=(5, 4), layout="constrained")
    size = np.array([p.size for p in points])
    axes.loglog(size, [p.cond for p in points], "o-", label="solved")
    axes.loglog(size, [p.random_cond for p in points], "s--", label=f"random (median of {RANDOM_DRAWS})")
    axes.set_xlabel(r"$\|E\|_2 \,/\, \|A_H\|_2$")
    axes.set_ylabel(r"$\kappa(V)$")
    axes.set_title(f"HiPPO-LegS, n = {points[0].n}")
    axes.grid(True, which="both", alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=150)
    plt.close(figure)
