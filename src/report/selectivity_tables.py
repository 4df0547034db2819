"""Tables of the selectivity experiments; all runs given to a function are of one variant: they differ in field, selectivity and seed.

P2 = arXiv 2410.14067. Its Table 3 has a row for each combination of selective parts, and a column for each field.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from ..tables import Table
from .collect import Record
from .compare import difference
from .selectivity_learning import field as kind
from .selectivity_learning import reached_at
from .settings import grouped, mean, result
from .statistics import Comparison, interaction

SWITCHES = ("B_is_selective", "C_is_selective", "dt_is_selective")
TEST = result("test/accuracy", 100)
LEVELS = (0.5, 0.8, 0.9)


def switches(record: Record) -> tuple[bool, ...]:
    """Returns whether B, C and dt depend on the input."""
    return tuple(record.config["model"][name] for name in SWITCHES)


def selective(record: Record) -> str:
    """Returns which of B, C and dt depend on the input."""
    return ", ".join(name.removesuffix("_is_selective") for name in SWITCHES if record.config["model"][name]) or "none"


def seed(record: Record) -> int:
    """Returns the seed, which also makes the tokens that training sees."""
    return record.config["seed"]


def ordered(records: Iterable[Record]) -> list[Record]:
    """Returns them with what is most selective first, real before complex, by seed."""
    return sorted(
        records, key=lambda r: (tuple(not on for on in switches(r)), kind(r).endswith("Complex"), kind(r), seed(r))
    )


def accuracies(records: Sequence[Record]) -> Table:
    """P2's Table 3: one row a combination of selective parts; the fields, and complex minus real on shared seeds."""
    kinds = list(dict.fromkeys(kind(r) for r in sorted(records, key=lambda r: (kind(r).endswith("Complex"), kind(r)))))
    pair = _real_and_complex(kinds)
    rows = []
    for parts, runs in grouped(ordered(records), selective).items():
        by_kind = grouped(runs, kind)
        row: list[Any] = [parts, *[mean(by_kind.get(name, []), TEST) for name in kinds]]
        if pair:
            found = difference(*(by_kind.get(name, []) for name in reversed(pair)), TEST, seed)
            row += [found[0].difference, found[0].p] if found else [None, None]
        row += [
            ", ".join(str(len(by_kind.get(name, []))) for name in kinds),
            *[spread(by_kind.get(k, [])) for k in kinds],
        ]
        rows.append(row)
    compared = ["complex - real", "p"] if pair else []
    columns = ["selective", *kinds, *compared, "seeds", *[f"{name}, lowest to highest" for name in kinds]]
    return Table(columns, rows, "test/accuracy, %, by what is selective", _notes(records))


def _notes(records: Sequence[Record]) -> list[str]:
    if not records:
        return []
    chance, size = 100 * records[0].result["chance"], records[0].config["test_size"]
    return [
        f"Tokens right in {size:,} held-out examples at the last step: mean over seeds ± 95 % interval (Student); chance {chance:.2f} %. "
        "complex - real: points, paired over shared seeds (they see the same tokens), with its p."
    ]


def _real_and_complex(kinds: Sequence[str]) -> tuple[str, str] | None:
    found = [next((name for name in kinds if name.endswith(end)), None) for end in ("Real", "Complex")]
    return tuple(found) if all(found) else None


def spread(records: Sequence[Record]) -> str | None:
    """Returns "50.63 to 54.71", the lowest and the highest test accuracy over seeds; None without a run."""
    values = [TEST(record) for record in records]
    if not values:
        return None
    return f"{min(values):.2f}" if len(values) == 1 else f"{min(values):.2f} to {max(values):.2f}"


# --- the interaction of field and selectivity ---

GROUPS = {
    "B and C selective": lambda on: on[0] and on[1],
    "B selective": lambda on: on[0],
    "C selective": lambda on: on[1],
    "dt selective": lambda on: on[2],
}


def effects(records: Sequence[Record]) -> tuple[list[tuple[bool, ...]], list[int], np.ndarray]:
    """Returns (settings, seeds, complex minus real in points (settings, seeds)) over the seeds that every setting and field has."""
    cells: dict[tuple[tuple[bool, ...], bool], dict[int, float]] = {}
    for record in records:
        cells.setdefault((switches(record), kind(record).endswith("Complex")), {})[seed(record)] = TEST(record)
    settings = sorted({on for on, _ in cells}, reverse=True)
    settings = [on for on in settings if (on, False) in cells and (on, True) in cells]
    shared = (
        sorted(set.intersection(*(set(cells[on, field]) for on in settings for field in (False, True))))
        if settings
        else []
    )
    table = [[cells[on, True][s] - cells[on, False][s] for s in shared] for on in settings]
    return settings, shared, np.array(table).reshape(len(settings), len(shared))


def interaction_of(records: Sequence[Record], group: str) -> Comparison | None:
    """Returns how much complex minus real is larger where the group's parts are selective; None where runs do not allow it."""
    settings, shared, table = effects(records)
    inside = [GROUPS[group](on) for on in settings]
    if not shared or all(inside) or not any(inside):
        return None
    return interaction(table, inside)


def interactions(records: Sequence[Record]) -> Table:
    """One row a part: how its selectivity changes the advantage of complex over real."""
    settings, shared, _ = effects(records)
    rows = []
    for group in GROUPS if len(settings) > 2 else ():
        found = interaction_of(records, group)
        if found is not None:
            rows.append([group, found.difference, found.p])
    note = (
        f"(complex - real where it is selective) - (complex - real where it is not), points, over {len(settings)} settings and "
        f"{len(shared)} shared seeds: mean with Student's interval over seeds; p of a permutation of the settings within each seed."
    )
    return Table(["selective", "interaction", "p"], rows, "Interaction of field and selectivity", [note])


# --- when it learns; single runs ---


def milestones(records: Sequence[Record]) -> Table:
    """One row a run: the step at which it first passes 50, 80, 90 % of held-out tokens."""
    rows = []
    for record in ordered(record for record in records if record.curve("val/accuracy")[0].size):
        reached = [reached_at(record, level) for level in LEVELS]
        cells = [f"{step:,}" if yes else f"> {step:,}" for step, yes in reached]
        rows.append([kind(record), selective(record), seed(record), *cells])
    columns = ["ssm_type", "selective", "seed", *(f"{level:.0%}" for level in LEVELS)]
    note = "Followed on 200 held-out examples once an epoch; > n: not within n steps (of a run that is not finished: so far)."
    return Table(columns, rows, "Step at which each seed passes", [note], grouped=2)


MEASURES = ("accuracy", "sequence_accuracy", "first_token_accuracy", "last_token_accuracy")


def single(records: Sequence[Record]) -> Table:
    """One row a run."""
    rows = []
    for record in ordered(records):
        own = record.result
        shares = [round(100 * own[f"test/{name}"], 2) for name in MEASURES]
        best = round(100 * own["test_at_best_val/accuracy"], 2)
        rows.append(
            [
                kind(record),
                selective(record),
                seed(record),
                *shares,
                best,
                own["steps"],
                own["trainable_parameters"],
                record.key,
            ]
        )
    columns = ["ssm_type", "selective", "seed", *MEASURES, "at best val", "steps", "parameters", "folder"]
    return Table(columns, rows, "Single runs: test at the last step, %", grouped=2)


def lengths(records: Sequence[Record]) -> Table:
    """Token accuracy at other input lengths, where they were tested: mean over seeds."""
    tested = [record for record in records if record.result.get("extrapolation")]
    sizes = sorted({int(length) for record in tested for length in record.result["extrapolation"]})
    rows = []
    for (name, parts), runs in grouped(ordered(tested), lambda r: (kind(r), selective(r))).items():
        rows.append([name, parts, len(runs), *[mean(runs, lambda run, n=size: _at(run, n)) for size in sizes]])
    return Table(
        ["ssm_type", "selective", "seeds", *map(str, sizes)], rows, "Token accuracy, %, at other input lengths"
    )


def _at(record: Record, length: int) -> float | None:
    found = record.result["extrapolation"].get(str(length))
    return None if found is None else 100 * found["accuracy"]
