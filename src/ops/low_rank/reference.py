"""S4's kernel as its definition reads: one dense power after the other, in float64."""

import torch
from torch import Tensor

from .system import LowRankSystem, dense_matrix


def low_rank_reference(system: LowRankSystem, C: Tensor, L: int) -> Tensor:
    """The definition, one dense power after the other in float64."""
    A, x, powers = dense_matrix(system), system.B.unsqueeze(-1), []
    for _ in range(L):
        powers.append(x)
        x = A @ x
    return (C.to(A.dtype) @ torch.cat(powers, -1)).to(C.dtype)
