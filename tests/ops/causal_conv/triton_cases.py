"""The fused causal convolution at Mamba's sizes, and at others."""

from functools import partial

import torch

from src.ops.causal_conv import causal_conv_silu


def run(b: int, L: int, D: int, K: int, dtype: torch.dtype = torch.float32) -> None:
    """Forward and backward."""
    shapes = (b, L, D), (K, D), (D,), (b, K - 1, D)
    leaves = [torch.zeros(shape, dtype=dtype, requires_grad=True) for shape in shapes]
    causal_conv_silu(*leaves, backend="triton")[0].sum().backward()


CASES = [
    partial(run, 8, 384, 128, 4),
    partial(run, 1, 65536, 1536, 4),
    partial(run, 8, 384, 128, 4, torch.float64),
    partial(run, 2, 33, 5, 2),
    partial(run, 1, 1, 1, 1),
]
