"""The discretisation as its definition reads. Every step is one torch operation on (H, N), so this is the form `torch` too."""

import torch
from torch import Tensor


def discretise_reference(Lambda: Tensor, dt: Tensor, disc: str) -> tuple[Tensor, Tensor]:
    """The definition, one torch operation after the other; the zero-order hold of a pole at 0 is nan."""
    dt = dt.unsqueeze(-1)
    z = dt * Lambda
    if disc == "zoh":
        return z, dt * torch.expm1(z) / z
    return torch.log((1 + z / 2) / (1 - z / 2)), dt / (1 - z / 2)
