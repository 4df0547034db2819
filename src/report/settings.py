"""Runs by setting: what a setting is, what it is called, and means over its seeds."""

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Any

from ..config import canonical_json, flat
from .collect import Record
from .statistics import Estimate, t_interval


def grouped(records: Iterable[Record], key: Callable[[Record], Hashable]) -> dict[Any, list[Record]]:
    """Returns the records by `key(record)`, in the order of their first appearance."""
    groups: dict[Any, list[Record]] = {}
    for record in records:
        groups.setdefault(key(record), []).append(record)
    return groups


def setting(config: Mapping[str, Any], varied: Iterable[str]) -> str:
    """Returns all of a config but the keys that are compared, which may be dotted: runs of one setting are equal in it."""
    varied = set(varied)
    return canonical_json({key: value for key, value in flat(config).items() if key not in varied})


def mean(records: Iterable[Record], measure: Callable[[Record], float | None]) -> Estimate | None:
    """Returns the mean of a measure over runs with its 95 % interval; None where no run has it."""
    values = [x for record in records if (x := measure(record)) is not None]
    return t_interval(values) if values else None


def result(name: str, scale: float = 1.0) -> Callable[[Record], float | None]:
    """Returns the measure that reads a number of a run's result (times `scale`), None where it has none."""

    def measure(record: Record) -> float | None:
        value = record.result.get(name)
        return scale * value if isinstance(value, (int, float)) else None

    return measure


def data_line(result: Mapping[str, Any]) -> str:
    """Returns what a run of the classifier says of its data: splits, longest sequence, vocabulary, shares of the classes."""
    parts = [result["data"]]
    if result.get("l_max"):
        parts.append(f"L <= {result['l_max']:,}")
    if result.get("vocabulary"):
        parts.append(f"{result['vocabulary']:,} symbols")
    counts = result.get("class_counts")
    if counts:
        least, most = (100 * extreme / sum(counts) for extreme in (min(counts), max(counts)))
        parts.append(f"{len(counts)} classes of {least:.1f} to {most:.1f} % in training")
    return f"data: {'; '.join(parts)}"


def own_words(labels: Sequence[str], ignored: Sequence[str] = ()) -> list[list[str]]:
    """Returns of each label the words that not all of them share, those that start with something `ignored` left out."""
    words = [label.split() for label in labels]
    shared = set(words[0]).intersection(*words[1:]) if words else set()
    return [[word for word in line if word not in shared and not word.startswith(tuple(ignored))] for line in words]


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
