"""Means over seeds, with the interval that says how much seeds alone explain."""

from collections.abc import Hashable, Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import t as student

from src.report.collect import Record


class Mean(NamedTuple):
    """The mean of `count` values; `half` is half the width of its 95 % interval (Student's t), None for a single value."""

    mean: float
    half: float | None
    count: int

    def __str__(self) -> str:
        return f"{self.mean:.3f}" + ("" if self.half is None else f" ± {self.half:.3f}")


def mean_of(values: Iterable[float]) -> Mean:
    """Returns the mean of at least one value with its interval."""
    x = np.asarray(list(values), dtype=float)
    if len(x) == 1:
        return Mean(float(x[0]), None, 1)
    half = student.ppf(0.975, len(x) - 1) * x.std(ddof=1) / np.sqrt(len(x))
    return Mean(float(x.mean()), float(half), len(x))


def grouped(records: Iterable[Record], key: Any) -> dict[Hashable, list[Record]]:
    """Returns the records by `key(record)`, in the order of their first appearance."""
    groups: dict[Hashable, list[Record]] = {}
    for record in records:
        groups.setdefault(key(record), []).append(record)
    return groups


def setting(config: Mapping[str, Any], varied: Iterable[str]) -> tuple[tuple[str, str], ...]:
    """Returns all of a config but the keys that are compared: runs of one setting stand in one table."""
    varied = set(varied)
    return tuple((key, str(value)) for key, value in config.items() if key not in varied)


def describe(config: Mapping[str, Any]) -> str:
    """Returns the line that names a setting of the image experiments."""
    train = "all" if config["train_size"] is None else f"{config['train_size']:,}"
    test = "all" if config["test_size"] is None else f"{config['test_size']:,}"
    grey = " grey" if config["grayscale"] else ""
    return (
        f"{config['dataset']}{grey}: {config['n_layers']} layers, {config['d_model']} channels, n = {config['n']}, "
        f"{config['epochs']} epochs of {train} examples, tested on {test}"
    )


def slugs(settings: Iterable[Mapping[str, Any]]) -> list[str]:
    """Returns an ending of file names for each setting: its data set, with a number where several settings share it."""
    names = [config["dataset"] for config in settings]
    return [
        f"-{name}" + (f"-{names[: i + 1].count(name)}" if names.count(name) > 1 else "") for i, name in enumerate(names)
    ]
