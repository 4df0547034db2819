"""S6, the selective SSM of Mamba (arXiv 2312.00752), real or complex, with any of its parts selective or not.

    h_t = exp(dt_t A) h_{t-1} + dt_t B_t x_t,     y_t = c Re(sum_n C_tn h_tn) + D x_t,     out_t = y_t silu(z_t)

per channel, diagonal A. Selective: (B_t, C_t, low-rank dt_t) = W x_t, shared by all channels. Constant: one (B, C)
and one dt for each channel. P2 (arXiv 2410.14067, Section 5, Appendix F.3 and Table 3) compares the fields: A, B, C
real with N states, or complex with N / 2, so that both have the same number of parameters. A complex state stands for
a conjugate pair, hence c = 2; c = 1 over the reals.

A starts at -1, ..., -N (S4D-Real), and its imaginary part at 0, pi, ..., pi (N / 2 - 1) (S4D-Lin); dt log-uniform.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import UserError, did_you_mean
from ..kernels.parameters import draw_dt, register
from ..ops.selective_scan import selective_scan

INITS_OF_D = {"ones": torch.ones, "normal": torch.randn}
STEPS_OF_CONSTANT_DT = {"softplus": F.softplus, "exp": torch.exp}


@dataclass(frozen=True)
class Selective:
    """Which of B, C and the step depend on the input (a row of P2's Table 3)."""

    B: bool = True
    C: bool = True
    dt: bool = True


FULLY_SELECTIVE = Selective()


class Constants(NamedTuple):
    """What does not depend on the input, as the scan takes it; None where it is selective."""

    A: Tensor  # (D, N)
    B: Tensor | None  # (D, N)
    C: Tensor | None  # (D, N), times c
    dt: Tensor | None  # (D,)


class S6(nn.Module):
    """From (B, L, D) to (B, L, D).

    Args:
        channels: D.
        d_state: real degrees of freedom of a channel's state: N real states, or N = d_state / 2 complex ones.
        over_complex: A, B, C complex.
        selective: what depends on the input.
        dt_rank: rank of the map from x to a selective dt.
        dt_min, dt_max: range of the log-uniform draw of dt.
        D_init: 'ones', or 'normal' (the published complex model).
        constant_dt: how a dt that is not selective is stored, 'softplus' or 'exp' (the published models).
        backend: see `selective_scan`; None chooses by device.
    """

    def __init__(
        self,
        channels: int,
        d_state: int = 16,
        *,
        over_complex: bool = False,
        selective: Selective = FULLY_SELECTIVE,
        dt_rank: int = 4,
        dt_min: float = 0.001,
        dt_max: float = 0.1,
        D_init: str = "ones",
        constant_dt: str = "softplus",
        backend: str | None = None,
    ):
        super().__init__()
        if over_complex and d_state % 2:
            raise UserError(f"d_state counts real degrees of freedom and must be even for a complex SSM, got {d_state}")
        if D_init not in INITS_OF_D:
            raise UserError(f"unknown D_init '{D_init}'{did_you_mean(D_init, INITS_OF_D)}")
        if constant_dt not in STEPS_OF_CONSTANT_DT:
            raise UserError(f"unknown constant_dt '{constant_dt}'{did_you_mean(constant_dt, STEPS_OF_CONSTANT_DT)}")
        self.channels, self.N, self.planes = channels, d_state // (2 if over_complex else 1), 2 if over_complex else 1
        self.selective, self.constant_dt, self.backend = selective, constant_dt, backend
        self._register_A()
        register(self, "D", INITS_OF_D[D_init](channels))
        self.widths = (dt_rank * selective.dt, self.planes * self.N * selective.B, self.planes * self.N * selective.C)
        self.x_proj = nn.Linear(channels, sum(self.widths), bias=False) if sum(self.widths) else None
        self._register_dt(dt_rank, draw_dt(channels, dt_min, dt_max, "softplus" if selective.dt else constant_dt))
        for name, depends in (("B", selective.B), ("C", selective.C)):
            if not depends:
                bound = (
                    channels**-0.5
                )  # the bias of a linear map of `channels` inputs, where the published models keep them
                register(
                    self, name, torch.empty(channels, self.N, self.planes).uniform_(-bound, bound), weight_decay=None
                )

    def _register_A(self) -> None:
        register(self, "A_log", torch.arange(1, self.N + 1).double().log().repeat(self.channels, 1))
        if self.planes == 2:
            register(self, "A_imag", math.pi * torch.arange(self.N).double().repeat(self.channels, 1))

    def _register_dt(self, dt_rank: int, inv_dt: Tensor) -> None:
        register(self, "inv_dt", inv_dt)
        if self.selective.dt:
            bound = dt_rank**-0.5
            self.dt_weight = nn.Parameter(torch.empty(self.channels, dt_rank).uniform_(-bound, bound))

    def forward(
        self, x: Tensor, z: Tensor | None = None, state: Tensor | None = None, return_state: bool = False
    ) -> Tensor | tuple[Tensor, Tensor]:
        """x: (B, L, D) input; z: (B, L, D) gate; state: (B, D, N). Returns out (B, L, D), or (out, final state)."""
        constant = self.discrete()
        dt, B, C = constant.dt, constant.B, constant.C
        if self.x_proj is not None:
            low, flat_B, flat_C = self.x_proj(x).split(self.widths, -1)
            dt = F.linear(low, self.dt_weight) if self.selective.dt else dt
            B = self._numbers(flat_B) if self.selective.B else B
            C = self._numbers(flat_C) * self.planes if self.selective.C else C
        bias = self.inv_dt if self.selective.dt else None
        return selective_scan(
            x, dt, constant.A, B, C, self.D, z, bias, self.selective.dt, state, return_state, self.backend
        )

    def discrete(self) -> Constants:
        """Returns the part of the scan's arguments that is made from parameters alone."""
        A = -self.A_log.exp()
        return Constants(
            A if self.planes == 1 else torch.complex(A, self.A_imag),
            None if self.selective.B else self._numbers(self.B.flatten(1)),
            None if self.selective.C else self._numbers(self.C.flatten(1)) * self.planes,
            None if self.selective.dt else STEPS_OF_CONSTANT_DT[self.constant_dt](self.inv_dt),
        )

    def _numbers(self, flat: Tensor) -> Tensor:
        """(..., planes N) real to (..., N), real or complex."""
        return flat if self.planes == 1 else torch.view_as_complex(flat.unflatten(-1, (self.N, 2)).contiguous())

    def default_state(self, *batch: int) -> Tensor:
        """Returns the zero state, (*batch, D, N)."""
        dtype = self.A_log.dtype if self.planes == 1 else self.A_log.dtype.to_complex()
        return torch.zeros(*batch, self.channels, self.N, dtype=dtype, device=self.A_log.device)

    def extra_repr(self) -> str:
        return f"{self.channels}, N={self.N} {'complex' if self.planes == 2 else 'real'}, {self.selective}"
