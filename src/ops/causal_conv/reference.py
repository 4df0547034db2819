"""The causal convolution and SiLU as their definition reads, one tap at a time."""

import torch
from torch import Tensor


def causal_conv_reference(x: Tensor, weight: Tensor, bias: Tensor, state: Tensor) -> Tensor:
    """The definition, one tap at a time. Shapes as in `causal_conv_silu`."""
    inputs, L = torch.cat([state, x], 1), x.shape[1]
    v = bias + sum(w * inputs[:, k : k + L] for k, w in enumerate(weight))
    return v * torch.sigmoid(v)
