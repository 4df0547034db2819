"""What a report says of a data set: sizes, class shares, lengths, vocabulary; nothing of it needs a batch."""

from typing import Any

import torch

from .base import SequenceDataset, Splits


def summarize(splits: Splits) -> dict[str, Any]:
    """Returns plain values for a result: `l_max`, `n_classes`, `vocabulary` (size or None), `classes` (names or None), `target` (mean and
    standard deviation of labels that are numbers, or None), and for each split what `summarize_split` gives."""
    parts = {name: summarize_split(getattr(splits, name), splits) for name in ("train", "val", "test")}
    return {
        "l_max": splits.l_max,
        "n_classes": splits.n_classes,
        "vocabulary": None if splits.vocabulary is None else len(splits.vocabulary),
        "classes": None if splits.classes is None else list(splits.classes),
        "target": None if splits.target is None else list(splits.target),
        **parts,
    }


def summarize_split(split: SequenceDataset, splits: Splits) -> dict[str, Any]:
    """Returns `n`; `class_shares` (n_classes numbers that add up to 1; None for numbers as labels) and `entropy` of the labels in nats, the
    loss of a model that knows nothing but them; `lengths`: shortest, median and longest sequence, end symbols included."""
    labels, lengths = split.labels, split.lengths
    shares = entropy = None
    if splits.n_classes is not None:
        counts = torch.bincount(labels, minlength=splits.n_classes).double()
        shares = counts / counts.sum()
        entropy = float(torch.special.entr(shares).sum())
        shares = shares.tolist()
    spread = [splits.l_max] * 3
    if lengths is not None:
        spread = [int(lengths.min()), int(lengths.flatten().median()), int(lengths.max())]
    return {"n": len(split), "class_shares": shares, "entropy": entropy, "lengths": spread}
