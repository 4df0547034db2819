"""From a sequence to one vector: the mean of its valid steps or the last of them, also in chunks and step by step."""

from typing import NamedTuple

from torch import Tensor, nn

from ..errors import UserError, did_you_mean
from ..layers.padding import last_valid, zero_padding
from ..ops.precision import at_least_float32


class PoolState(NamedTuple):
    """Sum and number of the steps seen so far."""

    total: Tensor  # (B, H)
    count: Tensor  # (B, 1)


class Pooling(nn.Module):
    """Pools (B, L, H) to (B, H); with a state, over everything since the first chunk.

    Args:
        mode: 'pool' (mean) or 'last'.
        H: number of channels.
    """

    def __init__(self, mode: str, H: int):
        super().__init__()
        if mode not in ("pool", "last"):
            raise UserError(f"unknown decoder mode '{mode}'{did_you_mean(mode, ('pool', 'last'))}")
        self.mode, self.H = mode, H

    def forward(
        self, x: Tensor, state: PoolState | None = None, lengths: Tensor | None = None
    ) -> tuple[Tensor, PoolState]:
        """x: (B, L, H). Returns the pooled (B, H) of the prefix that ends here, and the state after it."""
        x = at_least_float32(x)
        total = zero_padding(x, lengths).sum(1)
        count = (x.new_full(x.shape[:1], x.shape[1]) if lengths is None else lengths.to(total)).unsqueeze(1)
        if state is not None:
            total, count = total + state.total, count + state.count
        pooled = total / count if self.mode == "pool" else last_valid(x, lengths)
        return pooled, PoolState(total, count)

    def extra_repr(self) -> str:
        return self.mode

    def default_state(self, *batch: int, like: Tensor) -> PoolState:
        """Returns the empty sum in the dtype and on the device of `like`."""
        return PoolState(like.new_zeros(*batch, self.H), like.new_zeros(*batch, 1))
