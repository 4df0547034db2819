"""Diagonal plus low rank, in the real coordinates that all forms of S4's kernel share."""

from typing import NamedTuple

import torch
from torch import Tensor


class LowRankSystem(NamedTuple):
    """x -> D x + sum_r p_r (q_r x), with input B; float64, n = 2 N."""

    d: Tensor  # (H, n): Re and Im of the N diagonal entries
    p: Tensor  # (H, r, n)
    q: Tensor  # (H, r, n)
    B: Tensor  # (H, n)


def dense_matrix(system: LowRankSystem) -> Tensor:
    """Returns D + sum_r p_r q_r as real matrices (H, n, n)."""
    re, im = (torch.diag_embed(x) for x in system.d.chunk(2, -1))
    return torch.cat([torch.cat([re, -im], -1), torch.cat([im, re], -1)], -2) + system.p.mT @ system.q
