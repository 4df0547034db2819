"""The selective scan as its definition reads: the oracle of the fast paths, in any precision, one step at a time."""

import torch
from torch import Tensor

from .arguments import ScanArguments


def discrete(dt: Tensor, x: Tensor, A: Tensor, B: Tensor) -> tuple[Tensor, Tensor]:
    """Returns exp(dt A) and dt B x, both broadcastable to (b, L, D, N); shapes as in `ScanArguments`."""
    B = B if B.ndim == 2 else B.unsqueeze(2)
    return torch.exp(dt.unsqueeze(-1) * A), (dt * x).unsqueeze(-1) * B


def read_out(h: Tensor, C: Tensor) -> Tensor:
    """Returns Re(sum_n C_n h_n), (b, L, D), of the states h (b, L, D, N)."""
    y = h * C if C.ndim == 2 else h * C.unsqueeze(2)
    return (y.real if y.is_complex() else y).sum(-1)


def selective_scan_reference(arguments: ScanArguments) -> tuple[Tensor, Tensor]:
    """Returns the output (b, L, D) and the final state (b, D, N). O(b L D N) memory."""
    a, drive = discrete(arguments.step_sizes(), arguments.x, arguments.A, arguments.B)
    h, states = arguments.h0, []
    for a_t, drive_t in zip(a.expand_as(drive).unbind(1), drive.unbind(1), strict=True):
        h = a_t * h + drive_t
        states.append(h)
    return arguments.finish(read_out(torch.stack(states, 1), arguments.C)), h
