"""Do two documents belong together? One tower reads both; an MLP compares its two vectors (LRA's retrieval task).

Features [x, y, x - y, x * y] and one hidden layer, as in Tay et al. (arXiv 2011.04006) and in the code of S4 (relu) and
S5 (gelu). Both documents pass in one batch, so batch norm sees their joint statistics.
"""

from typing import Any

import torch
from torch import Tensor, nn

from ..layers.mixer import ACTIVATIONS
from .tower import Tower, TowerState


class Retrieval(nn.Module):
    """From pairs (B, 2, L, ...) to logits (B, d_output).

    Args:
        tower: from sequences to vectors of H, which is the width of the hidden layer too.
        d_output: number of classes.
        activation: of the hidden layer, 'relu' or 'gelu'.
    """

    def __init__(self, tower: Tower, d_output: int = 2, activation: str = "relu"):
        super().__init__()
        self.tower = tower
        self.head = nn.Sequential(
            nn.Linear(4 * tower.d_model, tower.d_model), ACTIVATIONS[activation](), nn.Linear(tower.d_model, d_output)
        )

    def forward(
        self, x: Tensor, state: TowerState | None = None, lengths: Tensor | None = None, return_state: bool = False
    ) -> Tensor | tuple[Tensor, TowerState]:
        """x: (B, 2, L, d_input), or (B, 2, L) tokens; lengths (B, 2). Returns logits, or (logits, state)."""
        lengths = None if lengths is None else lengths.flatten()
        h = self.tower(x.flatten(0, 1), state, lengths, return_state)
        return (self._compare(h[0]), h[1]) if return_state else self._compare(h)

    def step(self, x: Tensor, state: TowerState, system: list[Any] | None = None) -> tuple[Tensor, TowerState]:
        """One time step of both documents: x (B, 2, d_input), or (B, 2) tokens."""
        h, state = self.tower.step(x.flatten(0, 1), state, system)
        return self._compare(h), state

    def _compare(self, h: Tensor) -> Tensor:
        """h: (2 B, H), the documents of a pair next to each other."""
        first, second = h[0::2], h[1::2]
        return self.head(torch.cat([first, second, first - second, first * second], -1))

    def discrete(self) -> list[Any]:
        """See `Tower.discrete`."""
        return self.tower.discrete()

    def default_state(self, batch: int) -> TowerState:
        """Returns the state before the first step of `batch` pairs."""
        return self.tower.default_state(2 * batch)
