"""A grid of configs: the Cartesian product of the swept keys over a base config."""

import itertools
import math
from collections.abc import Iterable, Mapping, Sized
from typing import Any

from ..errors import UserError, shown
from .canonical import canonical_json

MOST_RUNS = 100_000  # of a sweep: more would be listed for minutes, and fill the memory


def check_size(axes: Iterable[Sized]) -> None:
    """Raises UserError where the axes of a grid span more than `MOST_RUNS` points."""
    n = math.prod(map(len, axes))
    if n > MOST_RUNS:
        raise UserError(f"the swept values span {shown(n, 20)} runs; a sweep has at most {MOST_RUNS:,}")


def expand_grid(base: Mapping[str, Any], axes: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Returns one config per point of the grid, in a stable order (the first axis varies slowest), equal configs once.

    Args:
        axes: for each swept key its list of values; a single value counts as a list of one.

    Raises:
        UserError: an axis has no value, or the grid more than `MOST_RUNS` points.
    """
    values = {key: list(axis) if isinstance(axis, (list, tuple)) else [axis] for key, axis in axes.items()}
    for key, axis in values.items():
        if not axis:
            raise UserError(f"the swept key '{key}' has an empty list; give at least one value")
    check_size(values.values())
    points = ({**base, **dict(zip(values, point, strict=True))} for point in itertools.product(*values.values()))
    distinct: dict[str, dict[str, Any]] = {}
    for point in points:
        distinct.setdefault(canonical_json(point), point)
    return list(distinct.values())
