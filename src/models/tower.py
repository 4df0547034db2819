"""Encoder, backbone and pooling: from a batch of sequences to a batch of vectors."""

from typing import Any, NamedTuple

from torch import Tensor, nn

from .backbone import ResidualBackbone
from .pooling import Pooling, PoolState


class TowerState(NamedTuple):
    """All that a later chunk or step needs to know of the earlier ones."""

    layers: list[Any]
    pool: PoolState


class Tower(nn.Module):
    """From (B, L, ...) to (B, H).

    Args:
        encoder: `nn.Linear(d_input, H)` for values, or `nn.Embedding(tokens, H, padding_idx)` for whole numbers.
        backbone: the layers; they set H.
        mode: 'pool' or 'last'.
    """

    def __init__(self, encoder: nn.Module, backbone: ResidualBackbone, mode: str = "pool"):
        super().__init__()
        self.encoder, self.backbone, self.pooling = encoder, backbone, Pooling(mode, backbone.d_model)

    @property
    def d_model(self) -> int:
        """H, the length of the vectors."""
        return self.backbone.d_model

    def forward(
        self, x: Tensor, state: TowerState | None = None, lengths: Tensor | None = None, return_state: bool = False
    ) -> Tensor | tuple[Tensor, TowerState]:
        """x: (B, L, d_input), or (B, L) tokens. Returns (B, H), all chunks so far; or that and the state."""
        layers, pool = (None, None) if state is None else state
        h = self.backbone(self.encoder(x), layers, lengths, return_state)
        if return_state:
            h, layers = h
        pooled, pool = self.pooling(h, pool, lengths)
        return (pooled, TowerState(layers, pool)) if return_state else pooled

    def step(self, x: Tensor, state: TowerState, system: list[Any] | None = None) -> tuple[Tensor, TowerState]:
        """One time step: x (B, d_input), or (B,) tokens. Returns the prefix's (B, H) and the state."""
        h, layers = self.backbone.step(self.encoder(x), state.layers, system)
        pooled, pool = self.pooling(h[:, None], state.pool)
        return pooled, TowerState(layers, pool)

    def discrete(self) -> list[Any]:
        """Returns what the layers' steps compute from their parameters: compute once, pass to every `step`."""
        return self.backbone.discrete()

    def default_state(self, *batch: int) -> TowerState:
        """Returns the state before the first step."""
        like = next(self.encoder.parameters())
        return TowerState(self.backbone.default_state(*batch), self.pooling.default_state(*batch, like=like))
