"""The Mamba block (arXiv 2312.00752, Figure 3): two branches, one through a short convolution and an SSM, one a gate.

    (x, z) = W_in u,   x <- silu(conv(x)),   y = W_out (SSM(x) * silu(z))

The SSM is S6, or a time-invariant diagonal one (S4D) as in P2's comparison (arXiv 2410.14067); a channel of width
`expand` d_model each.
"""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..kernels import DiagonalKernel, Kernel, RealDiagonalKernel
from ..kernels.parameters import register
from ..ops.causal_conv import causal_conv_silu
from ..ops.fftconv import fftconv
from .s6 import FULLY_SELECTIVE, S6, Selective
from .ssm_type import SSMType


class MambaState(NamedTuple):
    """What a block remembers."""

    conv: Tensor  # (B, d_conv - 1, D), the last inputs of the convolution
    ssm: Tensor  # (B, D, N)


class S4D(nn.Module):
    """A time-invariant diagonal SSM per channel with S6's signature: y = K * x + D x, gated by z.

    Args:
        kernel: of D channels.
        gate: False ignores z, as the published models of this type do on a GPU.
    """

    def __init__(self, kernel: Kernel, gate: bool = True):
        super().__init__()
        self.kernel, self.gate = kernel, gate
        register(self, "D", torch.randn(kernel.H), weight_decay=None)

    def forward(
        self, x: Tensor, z: Tensor | None = None, state: Tensor | None = None, return_state: bool = False
    ) -> Tensor | tuple[Tensor, Tensor]:
        """x, z: (B, L, D); state: (B, D, N). Returns out (B, L, D), or (out, final state)."""
        L, u = x.shape[1], x.transpose(1, 2)
        y = fftconv(u, self.kernel(L)[0])
        if state is not None:
            y = y + self.kernel.response(state, L)[:, 0]
        out = y.transpose(1, 2) + self.D * x
        out = out * F.silu(z) if self.gate and z is not None else out
        if not return_state:
            return out
        return out, self.kernel.forward_state(u, self.default_state(len(x)) if state is None else state)

    def default_state(self, *batch: int) -> Tensor:
        """Returns the zero state, (*batch, D, N)."""
        return self.kernel.default_state(*batch)


class MambaBlock(nn.Module):
    """From (B, L, d_model) to (B, L, d_model).

    Args:
        d_model: width of the input.
        ssm: the SSM, of D = expand d_model channels.
        D: its number of channels.
        d_conv: length of the convolution.
    """

    def __init__(self, d_model: int, ssm: S6 | S4D, D: int, d_conv: int = 4):
        super().__init__()
        self.ssm, self.d_conv, self.D = ssm, d_conv, D
        self.in_proj = nn.Linear(d_model, 2 * D, bias=False)
        self.out_proj = nn.Linear(D, d_model, bias=False)
        bound = d_conv**-0.5
        self.conv_weight = nn.Parameter(torch.empty(d_conv, D).uniform_(-bound, bound))
        self.conv_bias = nn.Parameter(torch.empty(D).uniform_(-bound, bound))

    def forward(
        self,
        u: Tensor,
        state: MambaState | None = None,
        lengths: Tensor | None = None,
        return_state: bool = False,
    ) -> Tensor | tuple[Tensor, MambaState]:
        """u: (B, L, d_model). The block is causal: padding at the end changes no valid output.

        Raises:
            ValueError: lengths together with return_state; the state would have seen the padding.
        """
        if lengths is not None and return_state:
            raise ValueError("the state after a padded batch is not defined here: pass sequences of one length")
        # two products rather than one: both halves come out contiguous and nothing is copied
        to_x, to_z = self.in_proj.weight.chunk(2)
        before = (None, None) if state is None else state
        x, conv = causal_conv_silu(F.linear(u, to_x), self.conv_weight, self.conv_bias, before[0])
        y = self.ssm(x, F.linear(u, to_z), before[1], return_state)
        if not return_state:
            return self.out_proj(y)
        return self.out_proj(y[0]), MambaState(conv, y[1])

    def step(self, u: Tensor, state: MambaState, system: None = None) -> tuple[Tensor, MambaState]:
        """One time step, u: (B, d_model)."""
        y, state = self(u.unsqueeze(1), state, return_state=True)
        return y.squeeze(1), state

    def default_state(self, *batch: int) -> MambaState:
        """Returns the state before the first step."""
        conv = self.conv_bias.new_zeros(*batch, self.d_conv - 1, self.D)
        return MambaState(conv, self.ssm.default_state(*batch))

    def discrete(self) -> None:
        """Nothing worth keeping: a step costs more than the exponentials of A."""
        return None


def mamba_block(
    d_model: int,
    ssm_type: SSMType,
    *,
    d_state: int = 16,
    expand: int = 2,
    d_conv: int = 4,
    selective: Selective = FULLY_SELECTIVE,
    dt_rank: int | None = None,
    dt_min: float = 0.001,
    dt_max: float = 0.1,
    D_init: str = "ones",
    constant_dt: str = "softplus",
    gate: bool = True,
    backend: str | None = None,
) -> MambaBlock:
    """Builds the block of one SSM type; dt_rank None is d_model / 16 rounded up. For the rest see `S6` and `S4D`."""
    D = expand * d_model
    if ssm_type.selective:
        ssm = S6(
            D, d_state, over_complex=ssm_type.over_complex, selective=selective,
            dt_rank=math.ceil(d_model / 16) if dt_rank is None else dt_rank, dt_min=dt_min, dt_max=dt_max,
            D_init=D_init, constant_dt=constant_dt, backend=backend,
        )  # fmt: skip
    else:
        kind, init = (DiagonalKernel, "diag-lin") if ssm_type.over_complex else (RealDiagonalKernel, "diag-real")
        ssm = S4D(kind(D, d_state, init=init, n_ssm=None, dt_min=dt_min, dt_max=dt_max), gate)
    return MambaBlock(d_model, ssm, D, d_conv)
