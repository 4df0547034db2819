"""S4: a diagonal-plus-low-rank SSM, A = Lambda - P P^*, over conjugate pairs: y = 2 Re(C xi).

Source: Gu, Goel and Re, arXiv 2111.00396, and arXiv 2206.11893. A + A^* is negative definite, so the bilinear Abar is a
contraction and its powers need no correction term. For one half xi of a conjugate pair the low-rank term is real:
A acts as Lambda xi - sum_r P_r s_r with s_r = 2 Re(P_r^* xi), which is a real matrix of order 2 N on (Re xi, Im xi).
"""

from typing import NamedTuple

import torch
from torch import Tensor

from ..errors import UserError
from ..linalg.nplr import conjugate_halves, nplr, published_half
from ..ops.discretise import DISCRETISATIONS
from ..ops.low_rank import LowRankSystem, dense_matrix, low_rank_kernel
from ..ops.low_rank.dense_powers import dense_final_state, dense_kernel
from .base import DiscreteSystem, Kernel, in_full_precision
from .diagonal_system import check_B_init, check_discretisation
from .parameters import MIN_DECAY, complex128, pairs, register


class ConjugateHalf(NamedTuple):
    """xi -> d xi + sum_r p_r 2 Re(q_r xi), with input b and output 2 Re(c xi); complex128."""

    d: Tensor  # (H, N)
    p: Tensor  # (r, H, N)
    q: Tensor  # (r, H, N)
    b: Tensor  # (H, N)
    c: Tensor  # (C, H, N)


def bilinear(system: ConjugateHalf, dt: Tensor) -> ConjugateHalf:
    """Returns Abar = 2 (1 - h A)^-1 - 1 and Bbar = 2 h (1 - h A)^-1 B, h = dt / 2, by the Woodbury identity; dt (H,).

    With D = 1 / (1 - h d): (1 - h A)^-1 = D + h D p (1 - h 2 Re(q D p))^-1 q D, again diagonal plus low rank.
    """
    h = dt.unsqueeze(-1) / 2
    D = 1 / (1 - h * system.d)
    Dp, qD = D * system.p, system.q * D
    overlap = 2 * torch.einsum("ihn,jhn->hij", system.q, Dp).real
    small = torch.eye(len(Dp), dtype=h.dtype, device=h.device) - h.unsqueeze(-1) * overlap
    p = torch.einsum("rhn,hrk->khn", h * Dp, small_inverse(small).to(Dp.dtype))
    through = 2 * (qD * system.b).sum(-1).real
    b = 2 * h * (D * system.b + (p * through.unsqueeze(-1)).sum(0))
    return ConjugateHalf(2 * D - 1, 2 * p, qD, b, system.c)


def small_inverse(x: Tensor) -> Tensor:
    """Returns the inverses of (H, r, r) matrices by elimination, r short steps without LAPACK or a look at a value.

    Pivots are not needed where the symmetric part is positive definite, and that of 1 + 2 h Re(P^* D P) is at least 1: Re D > 0.
    """
    r = x.shape[-1]
    rows = torch.cat([x, torch.eye(r, dtype=x.dtype, device=x.device).expand_as(x)], -1)
    for i in range(r):
        row = rows[:, i : i + 1] / rows[:, i : i + 1, i : i + 1]
        eliminated = rows - rows[:, :, i : i + 1] * row
        rows = torch.cat([eliminated[:, :i], row, eliminated[:, i + 1 :]], 1)
    return rows[..., r:]


def real_coordinates(system: ConjugateHalf) -> tuple[LowRankSystem, Tensor]:
    """Returns the system on (Re xi, Im xi), order n = 2 N, and its output rows (H, C, n)."""
    d, p, q, b, c = system
    column = lambda z: torch.cat([z.real, z.imag], -1)
    row = lambda z: 2 * torch.cat([z.real, -z.imag], -1)
    by_channel = lambda x: x.transpose(0, 1)
    return LowRankSystem(column(d), by_channel(column(p)), by_channel(row(q)), column(b)), by_channel(row(c))


class DPLRKernel(Kernel):
    """S4.

    Args:
        H: number of channels.
        d_state: real order of the system; N = d_state / 2 conjugate pairs.
        init: a HiPPO measure, 'legs', 'legt' or 'fourier'.
        rank: columns of P; None takes the least that the measure allows.
        B_init: 'exact', B of the HiPPO matrix; 'published', Im(B) clipped at 2 (`nplr.published_half`).
        disc: 'bilinear' (published) or 'zoh' (dense; torch.matrix_exp reads a norm on the host, so a GPU is waited for).
        options: see `Kernel`.
    """

    def __init__(
        self,
        H: int,
        d_state: int = 64,
        *,
        init: str = "legs",
        rank: int | None = None,
        B_init: str = "exact",
        disc: str = "bilinear",
        generator: torch.Generator | None = None,
        **options,
    ):
        super().__init__(H, generator=generator, **options)
        if d_state < 2 or d_state % 2:
            raise UserError(f"d_state counts both members of a conjugate pair and must be even, got {d_state}")
        self.disc, self.N = check_discretisation(disc, DISCRETISATIONS), d_state // 2
        published = check_B_init(B_init) == "published"
        half = published_half(init, d_state, rank) if published else conjugate_halves(nplr(init, d_state, rank))
        copies = lambda x: torch.from_numpy(x).expand(self.n_ssm, -1)
        Lambda = copies(half.Lambda)
        register(self, "A_real", torch.log((-Lambda.real).clamp(min=MIN_DECAY)), self.lr["A"])
        register(self, "A_imag", -Lambda.imag, self.lr["A"])
        register(self, "P", pairs(torch.stack([copies(column) for column in half.P.T])), self.lr["A"])
        register(self, "B", pairs(copies(half.B)), self.lr["B"])
        C = torch.randn(self.channels, H, self.N, dtype=torch.complex128, generator=generator)
        register(self, "C", pairs(C), self.lr["C"], weight_decay=None)

    def continuous(self) -> ConjugateHalf:
        """Returns x' = A x + B u for every channel."""
        Lambda = -torch.complex(self.A_real.double().exp(), self.A_imag.double())
        P, B, C = (complex128(x) for x in (self.P, self.B, self.C))
        P = self.per_channel(P)
        return ConjugateHalf(self.per_channel(Lambda), -P, P.conj(), self.per_channel(B), C)

    def _matrices(self, rate: float) -> tuple[Tensor, Tensor, Tensor]:
        """Returns A (H, n, n), B (H, n) and C (H, C, n) of one step in real coordinates, float64."""
        dt = self.dt(rate)
        if self.disc == "bilinear":
            system, C = real_coordinates(bilinear(self.continuous(), dt))
            return dense_matrix(system), system.B, C
        system, C = real_coordinates(self.continuous())
        block = torch.cat([dense_matrix(system), system.B.unsqueeze(-1)], -1) * dt.view(-1, 1, 1)
        E = torch.matrix_exp(torch.nn.functional.pad(block, (0, 0, 0, 1)))
        return E[:, :-1, :-1], E[:, :-1, -1], C

    @property
    def _dtype(self) -> torch.dtype:
        return torch.float64 if self.C.dtype == torch.float64 else torch.float32

    @in_full_precision
    def forward(self, L: int, rate: float = 1.0) -> Tensor:
        if self.disc == "bilinear":
            system, C = real_coordinates(bilinear(self.continuous(), self.dt(rate)))
            return low_rank_kernel(system, C.to(self._dtype), L).transpose(0, 1)
        A, B, C = self._matrices(rate)
        return dense_kernel(A, B.unsqueeze(-1), C, L).squeeze(2).transpose(0, 1).to(self._dtype)

    @in_full_precision
    def discrete(self, rate: float = 1.0) -> DiscreteSystem:
        A, B, C = (x.to(self._dtype) for x in self._matrices(rate))
        return DiscreteSystem(A, B, C.transpose(0, 1))

    def default_state(self, *batch: int) -> Tensor:
        return torch.zeros(*batch, self.H, 2 * self.N, dtype=self._dtype, device=self.C.device)

    @in_full_precision
    def step(self, u: Tensor, state: Tensor, system: DiscreteSystem | None = None) -> tuple[Tensor, Tensor]:
        A, B, C = system or self.discrete()
        state = torch.einsum("hij,bhj->bhi", A, state) + B * u.to(B.dtype).unsqueeze(-1)
        return torch.einsum("chn,bhn->bch", C, state), state

    @in_full_precision
    def forward_state(self, u: Tensor, state: Tensor, rate: float = 1.0) -> Tensor:
        A, B, _ = self._matrices(rate)
        return dense_final_state(A, B, u.double(), state.double()).to(self._dtype)

    @in_full_precision
    def response(self, state: Tensor, L: int, rate: float = 1.0) -> Tensor:
        A, _, C = self._matrices(rate)
        columns = A @ state.double().permute(1, 2, 0)
        return dense_kernel(A, columns, C, L).permute(2, 1, 0, 3).to(self._dtype)
