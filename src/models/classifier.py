"""One label a sequence: a tower and a linear map."""

from typing import Any

from torch import Tensor, nn

from .tower import Tower, TowerState


class Classifier(nn.Module):
    """From (B, L, ...) to logits (B, d_output).

    Args:
        tower: from sequences to vectors.
        d_output: number of classes.
    """

    def __init__(self, tower: Tower, d_output: int):
        super().__init__()
        self.tower, self.head = tower, nn.Linear(tower.d_model, d_output)

    def forward(
        self, x: Tensor, state: TowerState | None = None, lengths: Tensor | None = None, return_state: bool = False
    ) -> Tensor | tuple[Tensor, TowerState]:
        """x: (B, L, d_input), or (B, L) tokens. Returns logits, or (logits, state)."""
        h = self.tower(x, state, lengths, return_state)
        return (self.head(h[0]), h[1]) if return_state else self.head(h)

    def step(self, x: Tensor, state: TowerState, system: list[Any] | None = None) -> tuple[Tensor, TowerState]:
        """One time step: x (B, d_input), or (B,) tokens. Returns the prefix's logits and the state."""
        h, state = self.tower.step(x, state, system)
        return self.head(h), state

    def discrete(self) -> list[Any]:
        """See `Tower.discrete`."""
        return self.tower.discrete()

    def default_state(self, *batch: int) -> TowerState:
        """Returns the state before the first step."""
        return self.tower.default_state(*batch)
