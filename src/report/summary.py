"""The table of everything: one row a run, one column a config key and a plain result."""

from collections.abc import Iterable
from typing import Any

from ..tables import Table
from .collect import Record


def summary(records: Iterable[Record]) -> Table:
    """One row a run: experiment, key, state, message, numerics, then every config key and every plain value of the results."""
    records = list(records)
    configs = _keys(record.config for record in records)
    results = [key for key in _keys(record.result for record in records) if key not in configs]
    rows = [
        [
            record.experiment,
            record.key,
            record.state,
            record.message,
            record.folder.run.numerics,
            *[record.config.get(key) for key in configs],
            *[record.result.get(key) for key in results],
        ]
        for record in records
    ]
    return Table(["experiment", "key", "state", "message", "numerics", *configs, *results], rows)


def _keys(mappings: Iterable[dict[str, Any]]) -> list[str]:
    return list(dict.fromkeys(key for mapping in mappings for key in mapping))
