"""`.npz`: x (N, L) or (N, L, C), y (N,); optional lengths (N,) and optional indices train, val and test."""

from pathlib import Path

import numpy as np

from ...errors import did_you_mean
from ...files import read_npz, unusable
from .raw import SPLITS, Gaps, Raw, check_parts, tidy_labels

KEYS = ("x", "y", "lengths", *SPLITS)


def read(path: Path) -> Raw:
    """Returns the examples of a file. Raises UserError if arrays are missing, unknown or do not fit each other."""
    arrays = read_npz(path, "arrays x and y in a .npz file")
    for name in arrays:
        if name not in KEYS:
            raise unusable(path, f"unknown array '{name}'{did_you_mean(name, KEYS)}")
    for name in ("x", "y"):
        if name not in arrays:
            raise unusable(
                path,
                f"no array '{name}'; expected x (N, L) or (N, L, C), y (N,), and lengths (N,) if sequences are padded",
            )
    x, y = arrays["x"], arrays["y"]
    if x.ndim not in (2, 3) or x.dtype.kind not in "biuf" or 0 in x.shape[2:]:
        raise unusable(path, f"x is {x.dtype} {x.shape}, expected numbers (N, L) or (N, L, C)")
    y = y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y
    if y.shape != x.shape[:1] or y.dtype.kind not in "biufUS":
        raise unusable(path, f"y is {y.dtype} {y.shape}, expected a label for each of the {len(x):,} sequences of x")
    if y.dtype.kind == "f" and not np.isfinite(y).all():
        row = int(np.flatnonzero(~np.isfinite(y))[0])
        raise unusable(path, f"y[{row}] is {y[row]}, expected a label for each sequence")
    x = x.reshape(*x.shape[:2], -1)
    lengths = _lengths(path, arrays, x)
    series = [row[:length].astype(np.float64) for row, length in zip(x, lengths, strict=True)]
    parts = {name: arrays[name] for name in SPLITS if name in arrays}
    if parts:
        check_parts(path, parts, len(x))
    channels = tuple(f"channel {c}" for c in range(x.shape[2]))
    return Raw("array", tidy_labels(y), series, channels=channels, gaps=_gaps(series), parts=parts or None)


def _lengths(path: Path, arrays: dict[str, np.ndarray], x: np.ndarray) -> np.ndarray:
    lengths = arrays.get("lengths", np.full(len(x), x.shape[1]))
    if lengths.shape != x.shape[:1] or lengths.dtype.kind not in "iu":
        raise unusable(
            path,
            f"lengths is {lengths.dtype} {lengths.shape}, expected a whole number for each of the {len(x):,} sequences",
        )
    wrong = np.flatnonzero((lengths < 1) | (lengths > x.shape[1]))
    if wrong.size:
        raise unusable(path, f"lengths[{wrong[0]}] = {lengths[wrong[0]]}, expected 1 to {x.shape[1]:,}")
    return lengths


def _gaps(series: list[np.ndarray]) -> Gaps:
    gaps = Gaps()
    for row, values in enumerate(series):
        missing = np.argwhere(~np.isfinite(values))
        if missing.size:
            step, channel = missing[0]
            gaps.add(len(missing), f"x[{row}, {step}, {channel}] is {values[step, channel]}")
    return gaps
