"""How every fused kernel is started."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor


def launch(kernel: Any, grid: Sequence[int], *arguments: Any, **options: Any) -> None:
    """Starts a Triton kernel on the device of its first tensor, which need not be the current one.

    Args:
        grid: number of programs along up to three axes; nothing is started when one of them is 0.
        options: the kernel's constexpr arguments by name, and num_warps, num_stages.
    """
    if 0 in grid:
        return
    tensor = next(argument for argument in arguments if isinstance(argument, Tensor))
    if tensor.is_cuda:
        with torch.cuda.device(tensor.device):
            kernel[tuple(grid)](*arguments, **options)
    else:  # Triton's interpreter
        kernel[tuple(grid)](*arguments, **options)
