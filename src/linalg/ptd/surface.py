"""The surface of PTD: size of E, condition of V, distance from S4. At a fixed size, kappa falls as the distance may grow.

Each curve is one size, each point on it one weight mu of log d_worst; beside them the earlier objective, which looks at kappa
alone, and the matrices published with arXiv 2310.01698.
"""

import os
from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields, replace
from pathlib import Path
from typing import NamedTuple

from ...tables import Table
from .perturbation import Perturbation
from .solver import Progress, solve
from .spec import PUBLISHED_SIZES, Spec, default_size

MUS = (1.0, 0.5, 0.2, 0.1, 0.05, 0.02)
SHARES = (3.0, 1.0, 1 / 3)  # of the default size


class Published(NamedTuple):
    """Figures of merit of a published matrix, measured on the published file; distances as in `response`."""

    cond: float
    d_e0: float
    d_worst: float
    max_real: float
    note: str = ""


PUBLISHED = {
    8: Published(5.11, 0.0106, 0.0505, -0.57),
    16: Published(6.56, 0.0026, 0.0140, -0.79),
    32: Published(8.31, 0.0020, 0.0399, -0.53),
    64: Published(9.17, 0.0008, 0.213, 0.6, "complex; cond 21 as loaded; unstable: used with reflected eigenvalues"),
    128: Published(8.01, 0.0014, 0.0032, 3.4, "unstable: used with reflected eigenvalues"),
}


@dataclass(frozen=True)
class SurfacePoint:
    """One row; mu is None where the objective has none."""

    E: str  # distance, cond, published
    n: int
    size: float  # ||E||_2 / ||A_H||_2
    mu: float | None
    cond: float
    d_worst: float
    d_e0: float
    max_real: float
    converged: bool | None = None


def default_sizes(n: int) -> tuple[float, ...]:
    """Returns three sizes: the published one for n states, its triple and a third of it."""
    return tuple(float(f"{share * default_size(n):.3g}") for share in SHARES)


def surface(
    spec: Spec, sizes: Sequence[float], mus: Sequence[float] = MUS, progress: Progress | None = None
) -> list[SurfacePoint]:
    """Returns the solved points, sizes and weights descending, each curve ended by the earlier objective's point.

    Args:
        spec: settings of the objective 'distance'; size and mu are replaced. Each solve starts from the one before.
        sizes: ||E||_2 / ||A_H||_2.
        mus: weights of log d_worst.
        progress: called with a line of text after every point.
    """
    points, first, alone = [], None, None
    for size in sorted(sizes, reverse=True):
        found = first
        for mu in sorted(mus, reverse=True):
            found = solve(replace(spec, size=size, mu=mu), start=found)
            first = found if mu == max(mus) else first
            points.append(_point("distance", found, mu))
            if progress:
                progress(_line(points[-1]))
        alone = solve(replace(spec, objective="cond", size=size, mu=None, margin=spec.least_decay), start=alone)
        points.append(_point("cond", alone, None))
        if progress:
            progress(_line(points[-1]))
    return points + published(spec.n)


def published(n: int) -> list[SurfacePoint]:
    """Returns the published matrix's point, none where nothing was published for n."""
    if n not in PUBLISHED:
        return []
    figures = PUBLISHED[n]
    place = (figures.cond, figures.d_worst, figures.d_e0, figures.max_real)
    return [SurfacePoint("published", n, PUBLISHED_SIZES[n], None, *place)]


def table(points: Sequence[SurfacePoint]) -> Table:
    """Returns the points, one a row, under the field names of `SurfacePoint`."""
    notes = [
        f"n = {n}: {PUBLISHED[n].note}" for n in sorted({p.n for p in points}) if n in PUBLISHED and PUBLISHED[n].note
    ]
    return Table([field.name for field in fields(SurfacePoint)], [astuple(point) for point in points], notes=notes)


def write_png(path: Path, points: Sequence[SurfacePoint]) -> None:
    """Draws kappa against d_worst on log axes, one curve a size."""
    os.environ.setdefault("MPLBACKEND", "Agg")
    import matplotlib.pyplot as plt  # seconds to import, and only needed here

    figure, axes = plt.subplots(figsize=(6, 4.2), layout="constrained")
    sizes = sorted({p.size for p in points if p.E == "cond"}, reverse=True)
    for i, size in enumerate(sizes):
        near = [p for p in points if abs(p.size / size - 1) < 0.05]
        curve = [p for p in near if p.E == "distance"]
        axes.loglog([p.d_worst for p in curve], [p.cond for p in curve], "o-", color=f"C{i}", label=f"size {size:.3g}")
        earlier = [p for p in near if p.E == "cond"]
        axes.loglog([p.d_worst for p in earlier], [p.cond for p in earlier], "s", color=f"C{i}", mfc="none", ms=9)
    axes.plot([], [], "s", color="0.4", mfc="none", ms=9, label="kappa alone (earlier objective)")
    for p in points:
        if p.E == "published":
            axes.loglog(p.d_worst, p.cond, "*", color="k", ms=13, label=f"published, size {p.size:.3g}")
    axes.set_xlabel(r"distance from S4, $d_{worst}$")
    axes.set_ylabel(r"$\kappa(V)$")
    axes.set_title(f"HiPPO-LegS, n = {points[0].n}")
    axes.grid(True, which="both", alpha=0.3)
    axes.legend(fontsize="small")
    figure.savefig(path, dpi=150)
    plt.close(figure)


def _point(kind: str, found: Perturbation, mu: float | None) -> SurfacePoint:
    figures = (found.cond, found.d_worst, found.d_e0, found.max_real)
    return SurfacePoint(kind, found.n, found.size, mu, *figures, converged=found.converged)


def _line(p: SurfacePoint) -> str:
    mu = "kappa alone" if p.mu is None else f"mu {p.mu:<8.3g}"
    return f"size {p.size:.5f}  {mu}  cond {p.cond:.3f}  d_worst {p.d_worst:.5f}  max Re {p.max_real:.3f}"
