"""Sums that stay on the device: a metric is a total over a count, and only totals and counts are ever added.

So a mean over micro-batches, steps or processes of unequal size is exact, and no step waits for the device.
"""

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from src.engine.distributed import gather


class Ratio(NamedTuple):
    """A metric of one batch, total / count."""

    total: Tensor  # scalar
    count: Tensor | int  # scalar: samples or tokens


Measures = Mapping[str, Ratio]


class Tally:
    """Adds up measures, in float64 on the device, until they are read."""

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}

    def add(self, measures: Measures) -> dict[str, Tensor]:
        """Adds one batch; returns what it added, (total, count) by name, each (2,)."""
        added = {}
        for name, (total, count) in measures.items():
            total = total.detach().double()
            pair = torch.stack([total, torch.as_tensor(count, device=total.device, dtype=torch.float64)])
            self._sums[name] = self._sums[name] + pair if name in self._sums else pair
            added[name] = pair
        return added

    def means(self) -> dict[str, float]:
        """Returns total / count of each metric over all processes; every process must ask. Waits for the device."""
        totals: dict[str, list[float]] = {}
        for part in gather({name: pair.tolist() for name, pair in self._sums.items()}):
            for name, (total, count) in part.items():
                summed = totals.setdefault(name, [0.0, 0.0])
                summed[0] += total
                summed[1] += count
        return {name: total / count if count else float("nan") for name, (total, count) in totals.items()}

    def clear(self) -> None:
        self._sums = {}

    def state_dict(self) -> dict[str, list[float]]:
        return {name: pair.tolist() for name, pair in self._sums.items()}

    def load_state_dict(self, state: dict[str, list[float]], device: torch.device) -> None:
        self._sums = {name: torch.tensor(pair, dtype=torch.float64, device=device) for name, pair in state.items()}
