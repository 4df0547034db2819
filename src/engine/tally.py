"""Sums that stay on the device: a metric is a total over a count, and only totals and counts are ever added.

So a mean over micro-batches, steps or processes of unequal size is exact, and no step waits for the device. A sum keeps its place in
memory as long as the tally lives, so that a captured step (`graphs.py`) adds to it again when it is repeated.
"""

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from .distributed import gather


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
        added = {name: _pair(total.detach().double(), count) for name, (total, count) in measures.items()}
        for name, pair in added.items():
            if name in self._sums:
                self._sums[name] += pair
            else:
                self._sums[name] = pair.clone()
        return added

    def means(self) -> dict[str, float]:
        """Returns total / count of each metric over all processes; every process must ask. Waits for the device."""
        totals: dict[str, list[float]] = {}
        for part in gather(self.state_dict()):
            for name, (total, count) in part.items():
                summed = totals.setdefault(name, [0.0, 0.0])
                summed[0] += total
                summed[1] += count
        return {name: total / count if count else float("nan") for name, (total, count) in totals.items()}

    def clear(self) -> None:
        for pair in self._sums.values():
            pair.zero_()

    def state_dict(self) -> dict[str, list[float]]:
        pairs = torch.stack(list(self._sums.values())).tolist() if self._sums else []  # one wait for all
        return dict(zip(self._sums, pairs, strict=True))

    def load_state_dict(self, state: dict[str, list[float]], device: torch.device) -> None:
        self._sums = {name: torch.tensor(pair, dtype=torch.float64, device=device) for name, pair in state.items()}


def _pair(total: Tensor, count: Tensor | int) -> Tensor:
    """(total, count), (2,). A number is filled in on the device: a tensor made of it here would be copied there, and waited for."""
    return torch.stack([total, count.to(total) if isinstance(count, Tensor) else torch.full_like(total, count)])
