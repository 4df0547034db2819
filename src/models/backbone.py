"""A stack of sequence layers with residual sums: x + drop(layer(norm(x))), or norm(x + drop(layer(x)))."""

from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from ..layers.contract import causal, system_of
from ..layers.dropout import Dropout
from ..layers.norm import NoNorm, frozen_averages, make_norm


class ResidualBlock(nn.Module):
    """One layer and what surrounds it; arguments as in `ResidualBackbone`."""

    def __init__(self, layer: nn.Module, norm: nn.Module, dropout: Dropout, prenorm: bool, residual: bool):
        super().__init__()
        self.layer, self.norm, self.dropout = layer, norm, dropout
        self.prenorm, self.residual = prenorm, residual

    def forward(
        self, x: Tensor, state: Any = None, lengths: Tensor | None = None, return_state: bool = False
    ) -> Tensor | tuple[Tensor, Any]:
        """x: (B, L, H)."""
        y = self.layer(self._before(x, lengths), state, lengths, return_state)
        return (self._after(x, y[0], lengths), y[1]) if return_state else self._after(x, y, lengths)

    def step(self, x: Tensor, state: Any, system: Any = None) -> tuple[Tensor, Any]:
        """x: (B, H)."""
        y, state = causal(self.layer).step(self._before(x), state, system)
        return self._after(x, y), state

    def _before(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        return self.norm(x, lengths) if self.prenorm else x

    def _after(self, x: Tensor, y: Tensor, lengths: Tensor | None = None) -> Tensor:
        y = self.dropout(y)
        y = x + y if self.residual else y
        return y if self.prenorm else self.norm(y, lengths)


class ResidualBackbone(nn.Module):
    """From (B, L, H) to (B, L, H).

    Args:
        layers: sequence layers (see `src.layers`), one a block.
        d_model: H.
        prenorm: norm before each layer and once after the last, or else after each sum.
        norm: 'batch', 'layer' or None.
        dropout, tie_dropout: of each layer's output; see `Dropout`.
        residual: False drops the sum, as the published robustness experiment does.
        final_norm: False leaves out the norm after the last pre-normed layer, as S5 does.
        norm_momentum: see `make_norm`.

    Attributes:
        recompute: keep only what enters each block and compute the rest again in the backward pass: the same numbers, less memory,
            one more forward pass.
    """

    def __init__(
        self,
        layers: Sequence[nn.Module],
        d_model: int,
        *,
        prenorm: bool = True,
        norm: str | None = "layer",
        dropout: float = 0.0,
        tie_dropout: bool = True,
        residual: bool = True,
        final_norm: bool = True,
        norm_momentum: float = 0.1,
    ):
        super().__init__()
        self.d_model = d_model
        self.recompute = False
        self.blocks = nn.ModuleList(
            ResidualBlock(
                layer, make_norm(norm, d_model, norm_momentum), Dropout(dropout, tie_dropout), prenorm, residual
            )
            for layer in layers
        )
        self.norm = make_norm(norm, d_model, norm_momentum) if prenorm and final_norm else NoNorm()

    def forward(
        self, x: Tensor, state: list[Any] | None = None, lengths: Tensor | None = None, return_state: bool = False
    ) -> Tensor | tuple[Tensor, list[Any]]:
        """x: (B, L, H). Returns y (B, L, H), or (y, list of the layers' states)."""
        states = []
        for i, block in enumerate(self.blocks):
            run = self._recomputed if self.recompute and torch.is_grad_enabled() else ResidualBlock.__call__
            x = run(block, x, None if state is None else state[i], lengths, return_state)
            if return_state:
                x, after = x
                states.append(after)
        x = self.norm(x, lengths)
        return (x, states) if return_state else x

    @staticmethod
    def _recomputed(block: ResidualBlock, *arguments: Any) -> Any:
        contexts = lambda: (nullcontext(), frozen_averages(block))
        return checkpoint(block, *arguments, use_reentrant=False, context_fn=contexts)

    def step(self, x: Tensor, state: list[Any], system: list[Any] | None = None) -> tuple[Tensor, list[Any]]:
        """One time step: x (B, H); `system` a kept `discrete()`."""
        states = []
        for i, block in enumerate(self.blocks):
            x, after = block.step(x, state[i], None if system is None else system[i])
            states.append(after)
        return self.norm(x), states

    def discrete(self) -> list[Any]:
        """Returns what the layers' steps compute from their parameters."""
        return [system_of(block.layer) for block in self.blocks]

    def default_state(self, *batch: int) -> list[Any]:
        """Returns the state before the first step."""
        return [causal(block.layer).default_state(*batch) for block in self.blocks]
