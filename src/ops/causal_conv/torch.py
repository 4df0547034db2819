"""The causal convolution and SiLU by torch's own convolution, for any device."""

import torch
import torch.nn.functional as F
from torch import Tensor


def library(x: Tensor, weight: Tensor, bias: Tensor, state: Tensor) -> Tensor:
    """By torch's own convolution, for any device."""
    inputs = torch.cat([state, x], 1).transpose(1, 2)
    v = F.conv1d(inputs, weight.T.unsqueeze(1), bias, groups=len(bias))
    return F.silu(v).transpose(1, 2)
