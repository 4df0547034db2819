"""Which steps of a padded batch are valid."""

import torch
from torch import Tensor


def valid(lengths: Tensor, L: int) -> Tensor:
    """Returns (B, L), true where step t < lengths[b]."""
    if lengths.ndim != 1 or lengths.is_floating_point():
        raise ValueError(f"lengths must be whole numbers of shape (B,), got {lengths.dtype} {tuple(lengths.shape)}")
    return torch.arange(L, device=lengths.device) < lengths[:, None]


def zero_padding(x: Tensor, lengths: Tensor | None) -> Tensor:
    """Returns x, (B, L, H), with zeros in its padding; `lengths` None means that there is none."""
    return x if lengths is None else x.masked_fill(~valid(lengths, x.shape[1])[..., None], 0)


def last_valid(x: Tensor, lengths: Tensor | None) -> Tensor:
    """Returns (B, H), each sequence's last step, from x (B, L, H)."""
    return x[:, -1] if lengths is None else x[torch.arange(len(x), device=x.device), lengths - 1]
