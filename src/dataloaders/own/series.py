"""Sequences of numbers of different lengths, scaled and padded once."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from ..base import Batch, MapDataset
from ..placement import Placement, send


@dataclass(frozen=True, eq=False)
class Series(MapDataset):
    """Sequences in memory.

    Args:
        values: (N, L, C) float32, zero after the end of a sequence.
        labels: (N,) int64 classes or float32 numbers.
        lengths: (N,); None where all have L steps.
    """

    values: Tensor
    labels: Tensor
    lengths: Tensor | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def batch(self, indices: Tensor, generator: torch.Generator | None = None) -> Batch:
        """See `SequenceDataset.batch`; a batch is as long as its longest sequence."""
        rows = send(indices, self.values.device)
        if self.lengths is None:
            return Batch(self.values[rows], self.labels[rows])
        lengths = self.lengths[indices]  # on the host, where the longest is needed
        x = self.values[rows, : int(lengths.max())]
        return Batch(x, self.labels[rows], send(lengths, self.values.device))

    def placed(self, placement: Placement) -> "Series":
        """See `SequenceDataset.placed`; lengths stay on the host."""
        return replace(self, values=placement.keep(self.values), labels=placement.keep(self.labels))


def scaled(series: Sequence[np.ndarray], train: np.ndarray, normalize: bool) -> np.ndarray:
    """Returns the sequences (N, L, C) float32, padded with zeros.

    Args:
        train: indices of the training part, from which alone mean and standard deviation of each channel come.
        normalize: subtract and divide by them; a channel that is constant in training is only shifted.
    """
    mean = std = None
    if normalize:
        steps = np.concatenate([series[i] for i in train])
        unit = np.abs(steps).max(0)  # squares of the largest numbers would overflow
        unit[unit == 0] = 1.0
        steps /= unit
        mean, std = unit * steps.mean(0), unit * steps.std(0)
        std[std <= 1e-12 * np.abs(mean)] = 1.0
    longest = max(map(len, series))
    values = np.zeros((len(series), longest, series[0].shape[1]), dtype=np.float32)
    with np.errstate(over="ignore"):  # the caller looks for what is not finite
        for row, own in enumerate(series):
            values[row, : len(own)] = own if mean is None else (own - mean) / std
    return values
