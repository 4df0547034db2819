"""The FFT convolution at the papers' sizes, for `compile_only`: on tensors without data, so that no transform is computed."""

import torch
from torch import Tensor

from src.ops.fftconv import fftconv


def run(
    B: int, H: int, L: int, C: int = 1, two_sided: bool = False, dtype=torch.float32, channels_last: bool = True
) -> None:
    """Forward and backward pass."""
    empty = lambda *shape, dtype=dtype: torch.empty(*shape, dtype=dtype, device="meta")
    u = empty(B, L, H).transpose(1, 2) if channels_last else empty(B, H, L)
    wide = torch.promote_types(dtype, torch.float32)
    kernels: list[Tensor] = [empty(C, H, L, dtype=wide).requires_grad_() for _ in range(1 + two_sided)]
    y = fftconv(u.requires_grad_(), *kernels, backend="triton")
    assert y.dtype == dtype
    torch.autograd.grad(y, [u, *kernels], torch.empty_like(y))


CASES = [
    lambda: run(50, 128, 1024, dtype=torch.bfloat16),
    lambda: run(8, 512, 4096, C=2),
    lambda: run(50, 256, 1024, C=2, two_sided=True),
    lambda: run(8, 256, 16384, two_sided=True, channels_last=False),
    lambda: run(8, 128, 65536, C=2, dtype=torch.bfloat16),
    lambda: run(8, 128, 1000, dtype=torch.float64),
]
