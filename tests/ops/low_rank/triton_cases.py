"""S4's kernel at its sizes in the papers; the number of channels is a grid axis only, so two stand for 256."""

from functools import partial

import torch

from src.ops.low_rank import LowRankSystem, low_rank_kernel


def run(n: int, L: int, r: int = 1, c: int = 1, dtype: torch.dtype = torch.float32) -> None:
    """Forward and backward."""
    shapes = [(2, n), (2, r, n), (2, r, n), (2, n)]
    system = LowRankSystem(*(torch.zeros(shape, dtype=torch.float64, requires_grad=True) for shape in shapes))
    C = torch.zeros(2, c, n, dtype=dtype, requires_grad=True)
    low_rank_kernel(system, C, L, backend="triton").sum().backward()


CASES = [
    *(partial(run, 64, L) for L in (1024, 4096, 16384)),
    partial(run, 128, 4096),
    partial(run, 64, 1024, r=2, c=2),
    partial(run, 64, 1024, dtype=torch.float64),
    partial(run, 6, 33),
    partial(run, 2, 1),  # one step, one pair: Triton makes an argument of 1 a constant
]
