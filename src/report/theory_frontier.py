"""What training reached beside what a real SSM can reach at all: tables of the exact frontier and of certified prices.

P2 = arXiv 2410.14067. The frontier is the least squared L2 error of all real SSMs with the same ||w||_1, w = C o B
(src/theory/frontier.py); the price is the least ||w||_1 of any real SSM with the same L1 error (src/theory/price.py), beside P2's own
bounds. All records given to a function are of one variant.
"""

import math
from collections.abc import Iterable
from functools import cache
from typing import Any

import numpy as np

from ..tables import Table
from ..theory.bounds import theorem2
from ..theory.frontier import LARGEST, SMALLEST, Frontier
from ..theory.price import price
from ..theory.targets import TASKS, target
from .collect import Record
from .theory_tables import CHANCE, TITLES, best, choice, corollary_of, only, tasks_of, value, values_of

LONGEST = 64  # t up to which the best polynomial is searched for; beyond it takes seconds, and single ones show what there is to see
INVERTED = 32  # t up to which the least ||w||_1 for a squared error is searched for: its numbers leave float64 beyond
_ROUNDING = 2.0**-52


@cache
def frontier_of(task: str, L: int, seed: int) -> Frontier:
    """Returns the frontier of a target of unit norm; targets without a seed of their own share one."""
    return Frontier(target(task, L, seed if TASKS[task].seeded else 0))


def frontier_for(record: Record) -> Frontier:
    """Returns the frontier of a run's target."""
    config = record.config
    return frontier_of(config["task_name"], config["L"], config["seed"] if TASKS[config["task_name"]].seeded else 0)


def size(record: Record) -> float | None:
    """||w||_1 where the error was least; None for runs of a time when it was not recorded."""
    w = record.result.get("w_l1_at_min")
    return float(w) if isinstance(w, (int, float)) and math.isfinite(w) and w > 0 else None


def excess(record: Record) -> float | None:
    """The run's squared error over the least at its ||w||_1, minus 1; None for complex runs, without ||w||_1, or where the least is 0."""
    w, error = size(record), value(record, "min_loss")
    if record.config["complex_option"] or w is None or not math.isfinite(error):
        return None
    return frontier_for(record).excess(min(max(w, SMALLEST), LARGEST), error)


# --- tables ---


def reached(records: list[Record]) -> Table:
    """Per target and t, the run that P2's rule chooses: its size, its error, and the frontier."""
    rows = [_reached(*chosen) for chosen in _chosen(records)]
    columns = ["target", "t", "SSM", "n", "||w||_1", "error", "least error", "excess %", "needed"]
    notes = [
        "error: squared L2, for a target of unit norm. least error: of any real SSM with the same ||w||_1, certified.",
        "excess: of the error over the least. needed: least ||w||_1 of any real SSM with the same error (1e8: that or more).",
    ]
    return Table(columns, rows, "Training against the exact frontier of real SSMs", notes, grouped=2)


def _chosen(records: list[Record]) -> Iterable[tuple[str, str, Record]]:
    """(target's name, SSM's name, run): for real SSMs the best run, of each seed where seeds have targets of their own; else the worst."""
    for L, task in [(L, task) for (L,) in values_of(records, "L") for task in tasks_of(records)]:
        for field in (False, True):
            cell = only(records, L=L, task_name=task, complex_option=field)
            if not field and TASKS[task].seeded:
                for (seed,) in values_of(cell, "seed"):
                    run, of = best(only(cell, seed=seed)), only(cell, seed=seed)
                    if run is not None:
                        yield f"{TITLES[task]}, seed {seed}", f"real, best of {len(of)}", run
                continue
            run = choice(field)(cell)
            if run is not None:
                yield TITLES[task], "complex, worst" if field else f"real, best of {len(cell)}", run


def _reached(title: str, ssm: str, record: Record) -> list[Any]:
    config, w, error = record.config, size(record), value(record, "min_loss")
    frontier, percent = frontier_for(record), excess(record)
    least = None if w is None else frontier.at(min(max(w, SMALLEST), LARGEST)).lower
    needed = frontier.price(error) if config["L"] <= INVERTED and math.isfinite(error) else None
    return [title, config["L"], ssm, config["N"], w, error, least, None if percent is None else 100 * percent, needed]


def prices(records: list[Record]) -> Table:
    """Per target and t: the chosen run, and what its accuracy in L1 costs a real SSM: certified, by Theorem 2, by the corollary."""
    rows = []
    for title, ssm, record in _chosen(records):
        config, eps = record.config, value(record, "l1_raw_at_min")
        bounds = _bounds(record, eps) if math.isfinite(eps) else [None, None]
        rows.append([title, config["L"], ssm, eps, value(record, "n_max_CB_at_min"), size(record), *bounds, None])
        if (record is best(only(records, **_cell(record)))) or config["complex_option"]:
            rows += _stated(title, record, [row[2] for row in rows if row[:2] == [title, config["L"]]])
    columns = ["target", "t", "SSM", "L1 error", "n max|CB|", "||w||_1", "price", "Theorem 2", "corollary"]
    notes = [
        "price: certified, no real SSM with this L1 error has a smaller ||w||_1 (and so n max|CB|).",
        "Theorem 2 and the corollaries: P2's own lower bounds on n max|CB|, the latter at the largest error that they "
        f"cover (Corollary 2: with probability {1 - CHANCE:g}). L1 errors are unscaled, for a target of unit L2 norm.",
    ]
    if any(record.config["L"] > LONGEST for record in records):
        notes.append(f"price beyond t = {LONGEST}: of the best single Chebyshev polynomial; certified too, but lower.")
    return Table(columns, rows, "What accuracy costs a real SSM, in the paper's measure of error", notes, grouped=2)


def _cell(record: Record) -> dict[str, Any]:
    keys = ("L", "task_name", "complex_option", *(["seed"] if TASKS[record.config["task_name"]].seeded else []))
    return {key: record.config[key] for key in keys}


def _bounds(record: Record, eps: float) -> list[float]:
    """[certified price, Theorem 2] at an L1 error; a target is rounded itself, which the price must not charge for."""
    config = record.config
    phi = target(config["task_name"], config["L"], config["seed"])
    rounding = _ROUNDING * float(np.abs(phi).sum())
    return [price(phi, eps + rounding, search=len(phi) <= LONGEST), theorem2(phi, eps)]


def _stated(title: str, record: Record, already: list[str]) -> list[list[Any]]:
    config = record.config
    named = corollary_of(config["task_name"], config["L"], config["seed"])
    if named is None or named[0] in already:
        return []
    name, (eps, bound) = named
    return [[title, config["L"], name, eps, None, None, *_bounds(record, eps), bound]]


def excesses(records: list[Record]) -> Table:
    """Per setting of the real runs: the median excess over seeds, one column a target."""
    real = [record for record in only(records, complex_option=False) if record.done and size(record) is not None]
    tasks = tasks_of(real)
    rows = []
    for N, L, r_min, lr, opt in values_of(real, "N", "L", "r_min", "lr", "opt"):
        cell = only(real, N=N, L=L, r_min=r_min, lr=lr, opt=opt)
        row = [_median(only(cell, task_name=task)) for task in tasks]
        rows.append([N, L, r_min, lr, opt, *row, len(values_of(cell, "seed"))])
    columns = ["n", "t", "r_min", "lr", "optimizer", *[TITLES[task] for task in tasks], "seeds"]
    notes = [
        "Least error in training over the least of any real SSM with the same ||w||_1, minus 1; -: the latter is 0."
    ]
    return Table(columns, rows, "Excess over the frontier in percent, median over seeds", notes, grouped=2)


def _median(records: list[Record]) -> float | None:
    found = [100 * x for x in map(excess, records) if x is not None]
    return float(np.median(found)) if found else None


def runs_table(records: list[Record]) -> Table:
    """One row a finished run that has its ||w||_1: for programs."""
    rows = []
    for record in records:
        if record.done and size(record) is not None:
            config, w = record.config, size(record)
            at = frontier_for(record).at(min(max(w, SMALLEST), LARGEST))
            keys = [config[key] for key in ("complex_option", "task_name", "N", "L", "opt", "lr", "r_min", "seed")]
            rows.append([record.key, *keys, w, value(record, "min_loss"), at.lower, at.upper, excess(record)])
    columns = ["key", "complex_option", "task_name", "N", "L", "opt", "lr", "r_min", "seed"]
    return Table([*columns, "w_l1", "min_loss", "frontier_lower", "frontier_upper", "excess"], rows)
