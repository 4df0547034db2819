"""The selective scan as its definition reads: the oracle of the fast paths, in any precision, one step at a time."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class ScanArguments:
    """What every backend gets: shapes checked, one real dtype, and A, B, C, h0 all real or all complex.

    x: (b, L, D). dt: (b, L, D) or (D,). A: (D, N). B, C: (b, L, N) if selective, (D, N) if constant. D, dt_bias: (D,)
    or None. z: (b, L, D) or None. h0: (b, D, N).
    """

    x: Tensor
    dt: Tensor
    A: Tensor
    B: Tensor
    C: Tensor
    D: Tensor | None
    z: Tensor | None
    dt_bias: Tensor | None
    softplus: bool
    h0: Tensor

    def step_sizes(self) -> Tensor:
        """(b, L, D) or (D,)."""
        dt = self.dt if self.dt_bias is None else self.dt + self.dt_bias
        return torch.nn.functional.softplus(dt) if self.softplus else dt

    def finish(self, y: Tensor) -> Tensor:
        """Adds D x to what the states put out, y: (b, L, D), and applies the gate."""
        y = y if self.D is None else y + self.D * self.x
        return y if self.z is None else y * torch.nn.functional.silu(self.z)


def discrete(dt: Tensor, x: Tensor, A: Tensor, B: Tensor) -> tuple[Tensor, Tensor]:
    """Returns exp(dt A) and dt B x, both broadcastable to (b, L, D, N); shapes as in `ScanArguments`."""
    B = B if B.ndim == 2 else B.unsqueeze(2)
    return torch.exp(dt.unsqueeze(-1) * A), (dt * x).unsqueeze(-1) * B


def read_out(h: Tensor, C: Tensor) -> Tensor:
    """Returns Re(sum_n C_n h_n), (b, L, D), of the states h (b, L, D, N)."""
    y = h * C if C.ndim == 2 else h * C.unsqueeze(2)
    return (y.real if y.is_complex() else y).sum(-1)


def reference(arguments: ScanArguments) -> tuple[Tensor, Tensor]:
    """Returns the output (b, L, D) and the final state (b, D, N). O(b L D N) memory."""
    a, drive = discrete(arguments.step_sizes(), arguments.x, arguments.A, arguments.B)
    h, states = arguments.h0, []
    for a_t, drive_t in zip(a.expand_as(drive).unbind(1), drive.unbind(1), strict=True):
        h = a_t * h + drive_t
        states.append(h)
    return arguments.finish(read_out(torch.stack(states, 1), arguments.C)), h
