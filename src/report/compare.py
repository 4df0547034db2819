"""Differences of two settings, judged on what they share: seeds where there are several, else the examples of the test."""

from collections.abc import Callable, Sequence
from itertools import combinations
from typing import Any

import numpy as np

from ..config import flat
from ..tables import Table
from .collect import Record
from .statistics import Comparison, paired_accuracies, paired_t

Measure = Callable[[Record], float | None]
COLUMNS = ["first", "minus", "difference, points", "p", "judged by"]
NOTE = (
    "Differences in percentage points with 95 % intervals, paired: over shared seeds (Student), or over the same test examples of one "
    "seed (Newcombe's interval, McNemar's exact p), where another seed would differ by more."
)


def difference(
    first: Sequence[Record],
    second: Sequence[Record],
    measure: Measure,
    seed: Callable[[Record], Any],
    right: Callable[[Record], np.ndarray | None] = lambda record: None,
) -> tuple[Comparison, str] | None:
    """Returns `first - second` in percentage points and what it is judged by; None where they share nothing to judge by.

    Args:
        measure: in percent.
        right: which test examples a run had right, (examples,), where it kept that.
    """
    a, b = ({seed(r): r for r in runs if measure(r) is not None} for runs in (first, second))
    shared = sorted(set(a) & set(b))
    if len(shared) > 1:
        compared = paired_t([measure(a[s]) for s in shared], [measure(b[s]) for s in shared])
        return compared, f"{len(shared)} shared seeds"
    if not shared:
        return None
    left, other = a[shared[0]], b[shared[0]]
    kept = right(left), right(other)
    if any(x is None for x in kept) or not _same_examples(left, other) or len(kept[0]) != len(kept[1]):
        return None
    compared = paired_accuracies(*kept)
    return Comparison(compared.difference.scaled(100), compared.p), f"{len(kept[0]):,} shared examples, one seed"


def _same_examples(first: Record, second: Record) -> bool:
    """Whether two runs were tested on the same examples: everything that their configs say of the data is equal."""

    def data(record: Record) -> dict[str, Any]:
        return {key: value for key, value in flat(record.config).items() if key.startswith(("dataset", "test_size"))}

    return data(first) == data(second)


def against_best(settings: dict[str, list[Record]], measure: Measure, seed, right=lambda record: None) -> Table:
    """One row a setting but the first, which is the best: the first minus it."""
    names = list(settings)
    return _differences(settings, [(names[0], other) for other in names[1:]], measure, seed, right)


def all_pairs(settings: dict[str, list[Record]], measure: Measure, seed, right=lambda record: None) -> Table:
    """One row for every two settings: the earlier minus the later."""
    return _differences(settings, combinations(settings, 2), measure, seed, right)


def _differences(settings, pairs, measure: Measure, seed, right) -> Table:
    table = Table(COLUMNS, notes=[NOTE])
    for first, second in pairs:
        found = difference(settings[first], settings[second], measure, seed, right)
        if found is not None:
            (estimate, p), by = found
            table.rows.append([first, second, estimate, p, by])
    return table
