"""A diagonal SSM per channel: convolution, recurrence and chunks from (log Abar, Bbar, C) alone, over either field.

Powers of a diagonal matrix are exponentials, so every sum over time is a product with a Vandermonde matrix.
"""

from abc import abstractmethod

import torch
from torch import Tensor

from ..errors import UserError, did_you_mean
from ..ops.diagonal import log_vandermonde, log_vandermonde_transpose
from .base import DiscreteSystem, Kernel, in_full_precision

B_INITS = ("exact", "published")


def check_discretisation(disc: str, known: tuple[str, ...]) -> str:
    """Returns `disc`, or raises `UserError` if it is not one of the known rules."""
    if disc not in known:
        raise UserError(f"unknown disc '{disc}'{did_you_mean(disc, known)}")
    return disc


def check_B_init(B_init: str) -> str:
    """Returns `B_init`, or raises `UserError` if it is neither 'exact' nor 'published'."""
    if B_init not in B_INITS:
        raise UserError(f"unknown B_init '{B_init}'{did_you_mean(B_init, B_INITS)}")
    return B_init


class DiagonalSystem(Kernel):
    """The contract for diagonal systems; a subclass registers C and says what its system is."""

    C: Tensor

    @abstractmethod
    def system(self, rate: float) -> tuple[Tensor, Tensor, Tensor]:
        """Returns log(Abar) (H, N), Bbar (H, N) and C (C, H, N) with its weights, complex128 or float64."""

    def _cast(self, x: Tensor) -> Tensor:
        """Casts from the precision of the system to that of the parameters, at least float32."""
        single = self.C.dtype != torch.float64
        return x.to((torch.complex64 if x.is_complex() else torch.float32) if single else x.dtype)

    @in_full_precision
    def forward(self, L: int, rate: float = 1.0) -> Tensor:
        z, B, C = self.system(rate)
        return log_vandermonde(self._cast(C * B), z, L)

    @in_full_precision
    def discrete(self, rate: float = 1.0) -> DiscreteSystem:
        z, B, C = self.system(rate)
        return DiscreteSystem(*map(self._cast, (z.exp(), B, C)))

    def default_state(self, *batch: int) -> Tensor:
        like = self._cast(self.system(1.0)[0].detach())
        return like.new_zeros(*batch, self.H, self.N)

    @in_full_precision
    def step(self, u: Tensor, state: Tensor, system: DiscreteSystem | None = None) -> tuple[Tensor, Tensor]:
        A, B, C = system or self.discrete()
        with_input = A * state + B * u.to(B.real.dtype).unsqueeze(-1)
        return torch.real((C * with_input.unsqueeze(1)).sum(-1)), with_input

    @in_full_precision
    def forward_state(self, u: Tensor, state: Tensor, rate: float = 1.0) -> Tensor:
        z, B, _ = self.system(rate)
        driven = self._cast(B) * log_vandermonde_transpose(self._cast(u.double()).flip(-1), z)
        return self._cast((z * u.shape[-1]).exp()) * state + driven

    @in_full_precision
    def response(self, state: Tensor, L: int, rate: float = 1.0) -> Tensor:
        z, _, C = self.system(rate)
        return log_vandermonde(self._cast(C * z.exp()) * state.unsqueeze(1), z, L)
