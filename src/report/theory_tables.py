"""Tables of the theory experiment, in the shape of P2's (arXiv 2410.14067) Tables 1 and 2, and its bounds beside what was reached.

P2's Table 1 (real): the best run of all seeds and settings for each optimizer and target. Table 2 (complex): the worst seed for each
t; where several settings were run, the worst seed of the best setting. Default and as-published runs, precisions and numbers of steps
are never mixed: each `Variant` has tables of its own.
"""

import math
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from ..config import canonical_json
from ..errors import UserError
from ..tables import Table
from ..theory.bounds import COROLLARIES, Corollary, theorem2
from ..theory.targets import TASKS, raw_target
from .collect import Record

TITLES = {name: task.title for name, task in TASKS.items()}
MEASURES = {
    "min_loss": "squared L2, least in training",
    "loss": "squared L2, at the end",
    "l1_at_min": "L1, where L2 is least",
    "l1": "L1, at the end",
}
CHANCE = 0.5  # the p of Corollary 2, its default
_NEEDED = ("complex_option", "N", "L", "task_name", "opt", "seed", "num_epochs")


class Variant(NamedTuple):
    """What must be equal for runs to share a table."""

    zero_grad: bool
    dtype: str
    num_epochs: int

    @classmethod
    def of(cls, record: Record) -> "Variant":
        """Raises UserError for a run that is none of the theory experiment."""
        config = record.config
        missing = [key for key in _NEEDED if key not in config]
        if missing:
            raise UserError(f"{record.folder.path}: its config has no '{missing[0]}', so it is no theory run")
        return cls(bool(config.get("zero_grad", True)), str(config.get("dtype", "float32")), int(config["num_epochs"]))

    def __str__(self) -> str:
        gradients = "gradients zeroed each step (default)" if self.zero_grad else "as published (gradients accumulate)"
        return f"{gradients}, {self.dtype}, {self.num_epochs:,} steps"

    @property
    def slug(self) -> str:
        return f"{'default' if self.zero_grad else 'as-published'}-{self.dtype}-{self.num_epochs}"


Choice = Callable[[Iterable[Record], str], Record | None]


def value(record: Record, measure: str) -> float:
    """Returns a result as a number; infinity where it is absent or not a number, so that it never counts as good."""
    x = record.result.get(measure)
    return float(x) if isinstance(x, (int, float)) and math.isfinite(x) else math.inf


def best(records: Iterable[Record], measure: str = "min_loss") -> Record | None:
    """Returns the finished run with the least error, None without one: the entry of P2's Table 1."""
    return min((r for r in records if r.done), key=lambda record: value(record, measure), default=None)


def worst(records: Iterable[Record], measure: str = "min_loss") -> Record | None:
    """Returns the finished run with the largest error over seeds, of the setting where that is least: P2's Table 2."""
    of_setting: dict[str, Record] = {}
    for record in records:
        if record.done:
            setting = canonical_json({key: item for key, item in record.config.items() if key != "seed"})
            of_setting[setting] = max(of_setting.get(setting, record), record, key=lambda r: value(r, measure))
    return min(of_setting.values(), key=lambda record: value(record, measure), default=None)


def choice(complex_option: bool) -> Choice:
    """Returns the rule of P2's table for a field: best of all for real, worst seed for complex."""
    return worst if complex_option else best


def only(records: Iterable[Record], **wanted: Any) -> list[Record]:
    """Returns the records whose config has these values."""
    return [record for record in records if all(record.config[key] == item for key, item in wanted.items())]


def values_of(records: Iterable[Record], *keys: str) -> list[tuple]:
    """Returns the distinct values of config keys, sorted."""
    return sorted({tuple(record.config[key] for key in keys) for record in records})


def tasks_of(records: Iterable[Record]) -> list[str]:
    """Returns the targets that the records have, in the order of `TASKS`."""
    found = {record.config["task_name"] for record in records}
    return [task for task in TASKS if task in found]


def errors(records: list[Record], complex_option: bool) -> Table:
    """One row per measure, optimizer, n and t; one column per target. All of one field and variant."""
    choose, tasks = choice(complex_option), tasks_of(records)
    rows = []
    for measure, title in MEASURES.items():
        for N, L, opt in values_of(records, "N", "L", "opt"):
            cell = only(records, N=N, L=L, opt=opt)
            chosen = [choose(only(cell, task_name=task), measure) for task in tasks]
            entries = [None if record is None else value(record, measure) for record in chosen]
            rows.append([title, opt, N, L, *entries, f"{sum(r.done for r in cell)} of {len(cell)}"])
    over = "largest over seeds" if complex_option else "least over seeds and settings"
    title = f"Error of the {'complex' if complex_option else 'real'} SSM, {over}; the zero map has error 1"
    return Table(["error", "optimizer", "n", "t", *[TITLES[task] for task in tasks], "runs"], rows, title, grouped=1)


def corollary_of(task: str, t: int, seed: int) -> tuple[str, Corollary] | None:
    """Returns (name, corollary) of P2 for a target of unit norm, None where it has none or t is too short for it."""
    name, least, statement = COROLLARIES.get(task, ("", math.inf, None))
    if t < least:
        return None
    return name, statement(t).scaled(1 / math.sqrt(sum(raw_target(task, t, seed) ** 2)))


def bounds(records: list[Record]) -> Table:
    """Per target and t: the chosen run of each field, what Theorem 2 asks of a real SSM at its accuracy, and the corollary.

    All of one variant. Errors are L1 and unscaled, for a target of unit norm, as the theorem has them.
    """
    rows = []
    for L, task in [(L, task) for (L,) in values_of(records, "L") for task in tasks_of(records)]:
        cell = only(records, L=L, task_name=task)
        chosen = {field: choice(field)(only(cell, complex_option=field)) for field in (False, True)}
        chosen = {field: record for field, record in chosen.items() if record is not None}
        rows += [_reached(record, len(only(cell, complex_option=field))) for field, record in chosen.items()]
        if chosen:
            rows += _stated(next(iter(chosen.values())))
    notes = [
        "Theorem 2: a lower bound on n max|CB| of every real SSM with this L1 error.",
        f"corollary: as P2 states it, at the largest error it covers (Corollary 2: with probability {1 - CHANCE:g}).",
        "L1 errors here are unscaled, for a target of unit L2 norm.",
    ]
    columns = ["target", "t", "SSM", "n", "L1 error", "n max|CB|", "Theorem 2", "corollary"]
    title = "Parameters reached, and needed by a real SSM for the same accuracy"
    return Table(columns, rows, title, notes, grouped=2)


def _reached(record: Record, runs: int) -> list[Any]:
    config, eps = record.config, value(record, "l1_raw_at_min")
    field = "complex, worst seed" if config["complex_option"] else f"real, best of {runs}"
    needed = theorem2(record.arrays["target"], eps) if "target" in record.arrays and math.isfinite(eps) else None
    has = value(record, "n_max_CB_at_min")
    return [TITLES[config["task_name"]], config["L"], field, config["N"], eps, has, needed, None]


def _stated(record: Record) -> list[list[Any]]:
    config = record.config
    named = corollary_of(config["task_name"], config["L"], config["seed"])
    if named is None or "target" not in record.arrays:
        return []
    name, (eps, bound) = named
    needed = theorem2(record.arrays["target"], eps)
    return [[TITLES[config["task_name"]], config["L"], f"any real, {name}", None, eps, None, needed, bound]]
