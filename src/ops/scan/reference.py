"""The scan as its definition reads: the oracle of the fast forms, in any precision, one step at a time."""

import torch
from torch import Tensor


def scan_reference(a: Tensor, b: Tensor, h0: Tensor, reverse: bool = False) -> Tensor:
    """The definition, one step at a time. a: (1 or R, 1 or L, N); b: (R, L, N); h0: (R, N). Returns (R, L, N)."""
    a_steps, b_steps = a.expand_as(b).unbind(1), b.unbind(1)
    h, states = h0, []
    for t in reversed(range(len(b_steps))) if reverse else range(len(b_steps)):
        h = a_steps[t] * h + b_steps[t]
        states.append(h)
    return torch.stack(states[::-1] if reverse else states, dim=1)
