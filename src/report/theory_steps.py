"""How long learning takes: steps until a real run stays near its frontier, and until a complex run stays near its target.

Neither paper asks. For a real SSM the question is not when the error is small, which it never is (P2 = arXiv 2410.14067, Theorem 2), but
when its excess over the exact frontier at its own ||w||_1 is. Excess is also small at the start, where both are the zero map's, so what
counts is the step from which it stays small to the end of the run. All records given to a function are of one variant.
"""

import numpy as np

from ..tables import Table
from .collect import Record
from .theory_frontier import frontier_for
from .theory_tables import TITLES, only, tasks_of, values_of

EXCESS, ERROR = 0.02, 1e-3  # what is near for a real run, what is near for a complex one


def steps(record: Record) -> float:
    """Returns the first logged step from which the run stays near to its end; infinity where it ends too far, nan without ||w||_1."""
    at, loss = record.curve("loss")
    if not len(at):
        return float("nan")
    if record.config["complex_option"]:
        far = loss > ERROR
    else:
        if len(record.curve("w_l1")[0]) != len(at):
            return float("nan")
        far = loss > (1 + EXCESS) * frontier_for(record).least(record.curve("w_l1")[1])
    last = np.flatnonzero(far)
    return float(at[0] if not len(last) else at[last[-1] + 1] if last[-1] + 1 < len(at) else np.inf)


def durations(records: list[Record]) -> Table:
    """Per field, t, optimizer and learning rate: median steps over seeds, one column a target. Only where several t were run."""
    done = [record for record in records if record.done]
    rows = []
    for field in (False, True):
        own = only(done, complex_option=field)
        if len(values_of(own, "L")) < 2:
            continue
        for r_min, lr, opt, N, L in values_of(own, "r_min", "lr", "opt", "N", "L"):
            cell = only(own, r_min=r_min, lr=lr, opt=opt, N=N, L=L)
            found = [_median(only(cell, task_name=task)) for task in tasks_of(own)]
            named = dict(zip(tasks_of(own), found, strict=True))
            name = "complex" if field else "real"
            rows.append([name, r_min, lr, opt, N, L, *[named.get(task) for task in tasks_of(done)]])
    columns = ["SSM", "r_min", "lr", "optimizer", "n", "t", *[TITLES[task] for task in tasks_of(done)]]
    notes = [
        f"Median over seeds of the step from which a real run stays within {EXCESS:.0%} of the frontier at its ||w||_1, "
        f"a complex run below a squared error of {ERROR:g}; inf: more than half of the seeds do not get there."
    ]
    return Table(columns, rows, "Steps to be near for good", notes, grouped=4)


def _median(records: list[Record]) -> float | None:
    found = [x for x in map(steps, records) if not np.isnan(x)]
    return float(np.sort(found)[len(found) // 2]) if found else None
