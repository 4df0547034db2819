"""The linear scan at S5's sizes and in every kind of a; few rows are cut into segments, many are not."""

from functools import partial

import torch

from src.ops.scan import scan


def run(
    R: int, L: int, N: int, a: str = "constant", dtype: torch.dtype = torch.complex64, reverse: bool = False
) -> None:
    """Forward and backward."""
    shape = {"constant": (N,), "shared": (L, N), "per row": (R, L, N)}[a]
    leaves = [torch.zeros(size, dtype=dtype, requires_grad=True) for size in (shape, (R, L, N), (R, N))]
    scan(*leaves, reverse=reverse, backend="triton").real.sum().backward()


CASES = [
    partial(run, 50, 1024, 192),
    partial(run, 50, 1024, 192, reverse=True),
    partial(run, 32, 16384, 128),
    *(partial(run, 3, 1000, 20, a, dtype) for a in ("shared", "per row") for dtype in (torch.float32, torch.complex64)),
    *(partial(run, 2, 200, 5, "per row", dtype) for dtype in (torch.float64, torch.complex128)),
    partial(run, 512, 100, 160),
    partial(run, 2, 3, 1),
    partial(run, 1, 1, 1),
]
