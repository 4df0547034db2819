"""Dropout on sequences, with a mask of its own at every step or one mask for a whole sequence (tied)."""

import torch.nn.functional as F
from torch import Tensor, nn


class Dropout(nn.Module):
    """Zeroes entries with probability p while training and scales the rest by 1 / (1 - p).

    Args:
        p: probability of dropping.
        tie: drop a channel for the whole sequence, as `dropout2d` does for an image.
    """

    def __init__(self, p: float = 0.0, tie: bool = False):
        super().__init__()
        self.p, self.tie = p, tie

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, L, H), or one step (B, H)."""
        if not self.tie or x.ndim == 2 or not self.training:
            return F.dropout(x, self.p, self.training)
        return x * F.dropout(x.new_ones(x.shape[0], 1, x.shape[-1]), self.p)

    def extra_repr(self) -> str:
        return f"p={self.p}, tie={self.tie}"
