"""How long learning takes: the steps to a level of held-out accuracy, censored where it was not reached, against the delay."""

from collections.abc import Iterable, Sequence

from ..config import canonical_json
from ..tables import Table
from .collect import Record
from .settings import grouped
from .statistics import Estimate, median_time

LEVEL = 0.9


def reached_at(record: Record, level: float = LEVEL) -> tuple[int, bool]:
    """Returns (the step of the first evaluation at or above the level, True), or (the last step that was evaluated, False)."""
    steps, accuracy = record.curve("val/accuracy")
    above = (accuracy >= level).nonzero()[0]
    if above.size:
        return int(steps[above[0]]), True
    return (int(steps[-1]) if steps.size else 0), False


def field(record: Record) -> str:
    """Returns the model's type: S6-Real, S6-Complex, ..."""
    return record.config["model"]["ssm_type"]


def lag(record: Record) -> int:
    """Returns the delay of a copy run."""
    return record.config["dataset"]["lag"]


def delays_of(records: Iterable[Record]) -> list[list[Record]]:
    """Returns groups of copy runs with two delays or more that differ in nothing else but field, seed and how long they train."""
    groups = grouped(
        (r for r in records if r.config["dataset"]["name"] == "delay" and r.curve("val/accuracy")[0].size), _but_delay
    )
    return [runs for runs in groups.values() if len({lag(run) for run in runs}) > 1]


def _but_delay(record: Record) -> str:
    c = record.config
    without = {
        "dataset": {k: v for k, v in c["dataset"].items() if k not in ("lag", "extra", "epoch_size")},
        "train": {k: v for k, v in c["train"].items() if k not in ("max_steps", "num_epochs", "stop_on_loss")},
        "model": {k: v for k, v in c["model"].items() if k not in ("ssm_type", "D_init")},
        "seed": None,
    }
    return canonical_json({**c, **without})


def median_steps(records: Sequence[Record]) -> Estimate:
    """Returns the median number of steps to the level with its interval; infinite where fewer than half of the runs reach it."""
    found = [reached_at(record) for record in records]
    return median_time([step for step, _ in found], [yes for _, yes in found])


def time_to_learn(records: Sequence[Record]) -> Table:
    """One row a field and delay: median steps to 90 % of the tokens, and how much longer than at the next smaller delay."""
    rows = []
    for name, runs in sorted(grouped(records, field).items(), reverse=True):
        before = None
        for delay, own in sorted(grouped(runs, lag).items()):
            median = median_steps(own)
            reached = sum(reached_at(run)[1] for run in own)
            known = before is not None and before[1].value not in (0, float("inf")) and median.value != float("inf")
            growth = f"{median.value / before[1].value:.1f} x from {before[0]}" if known else None
            rows.append([name, delay, len(own), reached, median, growth])
            before = (delay, median)
    note = (
        "Steps to 90 % of held-out tokens, a run that does not get there counted as still waiting (Kaplan and Meier); interval of the "
        "median by Brookmeyer and Crowley; inf: not reached by half of the seeds."
    )
    return Table(["ssm_type", "dataset.lag", "seeds", "reached", "median steps", "growth"], rows, "", [note], grouped=1)
