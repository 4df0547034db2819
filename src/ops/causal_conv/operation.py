"""Short causal depthwise convolution and SiLU, the filter in front of Mamba's scan (arXiv 2312.00752, Figure 3).

    v_t = bias + sum_k w_k x_{t-K+1+k},     y_t = v_t sigmoid(v_t)

The inputs before the first step come from a state: the K - 1 last inputs of the chunk before. On a CPU (`compiled`) and on
a GPU (`triton`) each direction is one pass; v is computed again in the backward pass, so nothing but x is kept.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from ..backend import Operation, values_and_gradients
from ..precision import full_precision
from .compiled import compiled
from .reference import causal_conv_reference
from .torch import library


def causal_conv_silu(
    x: Tensor, weight: Tensor, bias: Tensor, state: Tensor | None = None, backend: str | None = None
) -> tuple[Tensor, Tensor]:
    """Returns y (b, L, D) and the state after it (b, K - 1, D), in the widest dtype of the arguments, float32 or more.

    Args:
        x: (b, L, D).
        weight: (K, D); the last row meets the newest input.
        bias: (D,).
        state: (b, K - 1, D) the inputs before x; zero when None.
        backend: a form of `CAUSAL_CONV`; None is the one that `src.ops.backend` chooses for the device.

    Raises:
        ValueError: an unknown backend.
    """
    form, K = CAUSAL_CONV.on(x.device, backend), len(weight)
    state = x.new_zeros(x.shape[0], K - 1, x.shape[2]) if state is None else state
    dtype = torch.float32
    for tensor in (x, weight, bias, state):
        dtype = torch.promote_types(dtype, tensor.dtype)
    x, weight, bias, state = (tensor.to(dtype) for tensor in (x, weight, bias, state))
    after = torch.cat([state[:, x.shape[1] :], x[:, -(K - 1) :]], 1) if K > 1 else state
    with full_precision(x):
        return form(x, weight, bias, state), after


def fused(x: Tensor, weight: Tensor, bias: Tensor, state: Tensor) -> Tensor:
    """One kernel. CUDA, or Triton's interpreter."""
    from .triton import FusedCausalConvSilu

    return FusedCausalConvSilu.apply(x, weight, bias, state)


def _probe(form: Callable[..., Tensor], device: torch.device) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    shapes = (2, 37, 5), (4, 5), (5,), (2, 3, 5)
    return values_and_gradients(
        form, [torch.randn(shape, generator=generator).to(device).requires_grad_() for shape in shapes]
    )


CAUSAL_CONV = Operation(
    "causal convolution",
    {"reference": causal_conv_reference, "torch": library, "compiled": compiled, "triton": fused},
    _probe,
)
