"""What a user's file holds, in words."""

from collections.abc import Sequence

import numpy as np

from .raw import Raw
from .targets import Targets


def describe(raw: Raw) -> str:
    """Returns format, number and lengths of the examples, channels, and how many values are missing."""
    lengths, unit = raw.lengths, "characters" if raw.series is None else "steps"
    least, most = int(lengths.min()), int(lengths.max())
    spread = f"{most:,}" if least == most else f"{least:,} to {most:,} (median {int(np.median(lengths)):,})"
    n = len(raw.channels)
    named = f": {_some(raw.channels)}" if n and not raw.channels[0].startswith("channel ") else ""
    channels = f", {n} channel{'s' * (n > 1)}{named}" if n else ""
    return f"{raw.kind}, {len(raw):,} sequences of {spread} {unit}{channels}; missing values: {raw.gaps.count:,}"


def describe_targets(targets: Targets) -> str:
    """Returns the classes with their sizes, or the range of the numbers."""
    if targets.classes is None:
        y = targets.y
        return f"numbers from {y.min():g} to {y.max():g}, mean {y.mean():g}, standard deviation {y.std():g}: regression"
    counts = np.bincount(targets.y)
    return (
        f"{len(counts)} classes: {_some([f'{name} ({n:,})' for name, n in zip(targets.classes, counts, strict=True)])}"
    )


def _some(words: Sequence[str], most: int = 12) -> str:
    return ", ".join(words[:most]) + (f", and {len(words) - most:,} more" if len(words) > most else "")
