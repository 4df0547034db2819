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
from ..theory.bounds import COROLLARIES, Corollary
from ..theory.targets import TASKS, raw_target
from .collect import Record

TITLES = {name: task.title for name, task in TASKS.items()}
MEASURES = {
    "min_loss": "squared L2, least",
    "loss": "squared L2, last",
    "l1_at_min": "L1 at least L2",
    "l1": "L1, last",
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
            entries = [_entry(only(cell, task_name=task), choose, measure) for task in tasks]
            rows.append([title, opt, N, L, *entries, f"{sum(r.done for r in cell)} of {len(cell)}"])
    over = "largest over seeds" if complex_option else "least over seeds and settings"
    title = f"Error of the {'complex' if complex_option else 'real'} SSM, {over}; the zero map has error 1"
    columns = ["error", "optimizer", "n", "t", *[TITLES[task] for task in tasks], "runs"]
    return Table(columns, rows, title, [] if complex_option else _seeded_notes(records), grouped=1)


def _entry(records: list[Record], choose: Choice, measure: str) -> float | None:
    """The error of a cell: by P2's rule, but no best over seeds where each seed has a target of its own: there their mean."""
    if choose is best and records and TASKS[records[0].config["task_name"]].seeded:
        chosen = [best(only(records, seed=seed), measure) for (seed,) in values_of(records, "seed")]
        errors_of_targets = [value(record, measure) for record in chosen if record is not None]
        return sum(errors_of_targets) / len(errors_of_targets) if errors_of_targets else None
    record = choose(records, measure)
    return None if record is None else value(record, measure)


def _seeded_notes(records: list[Record]) -> list[str]:
    names = [TITLES[task] for task in tasks_of(records) if TASKS[task].seeded]
    return [
        f"{name}: each seed has a target of its own; the mean over these of the best run on each." for name in names
    ]


def targets_of_seeds(records: list[Record]) -> Table:
    """The real SSM on targets that differ from seed to seed: the best run on each. All of one variant."""
    real = [r for r in only(records, complex_option=False) if TASKS[r.config["task_name"]].seeded and r.done]
    seeds = [seed for (seed,) in values_of(real, "seed")]
    rows = []
    for task, N, L, opt in values_of(real, "task_name", "N", "L", "opt"):
        cell = only(real, task_name=task, N=N, L=L, opt=opt)
        chosen = [best(only(cell, seed=seed)) for seed in seeds]
        rows.append([TITLES[task], opt, N, L, *[None if r is None else value(r, "min_loss") for r in chosen]])
    title = "Each seed's own target: squared L2 error of the best real run on it"
    return Table(["target", "optimizer", "n", "t", *[f"seed {seed}" for seed in seeds]], rows, title, grouped=1)


def corollary_of(task: str, t: int, seed: int) -> tuple[str, Corollary] | None:
    """Returns (name, corollary) of P2 for a target of unit norm, None where it has none or t is too short for it."""
    name, least, statement = COROLLARIES.get(task, ("", math.inf, None))
    if t < least:
        return None
    return name, statement(t).scaled(1 / math.sqrt(sum(raw_target(task, t, seed) ** 2)))
