"""Stratified random splits: every part has its share of each class, or of each tenth of the range of a number."""

import numpy as np

STRATA = 10  # of a target that is a number


def stratified(labels: np.ndarray, shares: tuple[float, ...], seed: int) -> list[np.ndarray]:
    """Returns sorted indices for parts of the given shares, and last those of the rest.

    The examples stand in a row by stratum, in random order within one; a part takes them at even distances. So no part differs from its
    share of any stratum by more than one example, however small the stratum.

    Args:
        labels: (N,) int64 classes, or float64 numbers that are cut into tenths of the examples.
    """
    rng = np.random.default_rng(seed)
    strata = labels if labels.dtype.kind == "i" else _tenths(labels)
    row = rng.permutation(len(labels))
    row = row[np.argsort(strata[row], kind="stable")]
    parts = []
    for k, share in enumerate(shares):
        share /= 1 - sum(shares[:k])  # of what is left
        ticks = np.floor(np.arange(len(row) + 1) * share + rng.random())
        taken = np.diff(ticks) > 0
        parts.append(np.sort(row[taken]))
        row = row[~taken]
    return [*parts, np.sort(row)]


def _tenths(numbers: np.ndarray) -> np.ndarray:
    ranks = np.argsort(np.argsort(numbers, kind="stable"), kind="stable")
    return ranks * STRATA // len(numbers)
