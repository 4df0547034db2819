"""S4D: a diagonal complex SSM per channel, K[t] = 2 Re sum_n C_n Bbar_n exp(t dt Lambda_n) over conjugate pairs.

Source: Gu, Gupta, Goel and Re, arXiv 2206.11893, equations 2-7. Lambda is stored as (log(-Re), -Im), so that no
training step can make it unstable. `DiagonalInit` is the door for any diagonalised system, such as S4-PTD's.
"""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..errors import UserError, did_you_mean
from ..linalg.diag_init import s4d_inv, s4d_lin, s4d_random, s4d_real
from ..linalg.nplr import Complex, conjugate_halves, nplr, published_half
from ..ops.discretise import DISCRETISATIONS, discretise
from .diagonal_system import DiagonalSystem, check_B_init, check_discretisation
from .parameters import MIN_DECAY, complex128, pairs, register

INITS = ("legs", "lin", "inv", "real", "random")


class DiagonalInit(NamedTuple):
    """Where a diagonal system starts: x' = Lambda x + B u, y = scale Re(C x)."""

    Lambda: Complex  # (N,)
    B: Complex  # (N,)
    V: Complex | None  # (n, N): C = C0 V with C0 real normal; None draws C complex normal
    weight: np.ndarray  # (N,): 2 for one half of a conjugate pair, 1 for a state that stands alone


def diagonal_init(
    name: str, n_pairs: int, generator: torch.Generator | None = None, B_init: str = "exact"
) -> DiagonalInit:
    """Returns the start that a config names 'legs', 'lin', 'inv', 'real' or 'random', plain or after 'diag-'.

    'legs' is (A_H^perp, B) in the eigenbasis of A_H^perp, with B = B_H / 2, which makes S4D the limit of S4, or with
    B_init 'published' B_H itself, its imaginary part clipped (`nplr.published_half`). The others have B = 1.

    Raises:
        UserError: unknown name.
    """
    short = name.removeprefix("diag-")
    weight = np.full(n_pairs, 2.0)
    if short == "legs" and check_B_init(B_init) == "published":
        half = published_half("legs", 2 * n_pairs)
        return DiagonalInit(half.Lambda, half.B, None, weight)
    if short == "legs":
        half = conjugate_halves(nplr("legs", 2 * n_pairs))
        return DiagonalInit(half.Lambda, half.B / 2, None, weight)
    if short not in INITS:
        raise UserError(f"unknown init '{name}' of a diagonal SSM{did_you_mean(short, INITS)}")
    if short == "random":
        seed = int(torch.randint(2**31, (1,), generator=generator))
        Lambda = s4d_random(n_pairs, np.random.default_rng(seed))
    else:
        Lambda = {"lin": s4d_lin, "inv": s4d_inv, "real": s4d_real}[short](n_pairs)
    return DiagonalInit(Lambda, np.ones(n_pairs, complex), None, weight)


def diagonal_inits(
    name: str, n_pairs: int, copies: int, generator: torch.Generator | None = None, B_init: str = "exact"
) -> list[DiagonalInit]:
    """Returns one start per distinct SSM; only 'random' makes them differ."""
    if name.removeprefix("diag-") == "random":
        return [diagonal_init(name, n_pairs, generator) for _ in range(copies)]
    return [diagonal_init(name, n_pairs, B_init=B_init)] * copies


class DiagonalKernel(DiagonalSystem):
    """S4D and every other diagonal complex SSM.

    Args:
        H: number of channels.
        d_state: real order of the system; N = d_state / 2 conjugate pairs.
        init: a name (see `diagonal_init`), or a `DiagonalInit`, which then sets N.
        B_init: 'exact' or 'published', of init 'legs' (see `diagonal_init`).
        disc: 'zoh' or 'bilinear'.
        options: see `Kernel`.
    """

    def __init__(
        self,
        H: int,
        d_state: int = 64,
        *,
        init: str | DiagonalInit = "legs",
        B_init: str = "exact",
        disc: str = "zoh",
        generator: torch.Generator | None = None,
        **options,
    ):
        super().__init__(H, generator=generator, **options)
        self.disc = check_discretisation(disc, DISCRETISATIONS)
        if isinstance(init, str):
            if d_state < 2 or d_state % 2:
                raise UserError(f"d_state counts both members of a conjugate pair and must be even, got {d_state}")
            copies = diagonal_inits(init, d_state // 2, self.n_ssm, generator, check_B_init(B_init))
        else:
            copies = [init] * self.n_ssm
        Lambda = torch.from_numpy(np.stack([copy.Lambda for copy in copies]))
        self.N = Lambda.shape[-1]
        self.register_buffer(
            "weight", torch.from_numpy(copies[0].weight).to(torch.get_default_dtype()), persistent=False
        )
        register(self, "A_real", torch.log((-Lambda.real).clamp(min=MIN_DECAY)), self.lr["A"])
        register(self, "A_imag", -Lambda.imag, self.lr["A"])
        register(self, "B", pairs(torch.from_numpy(np.stack([copy.B for copy in copies]))), self.lr["B"])
        register(self, "C", pairs(self._draw_C(copies[0].V, generator)), self.lr["C"], weight_decay=None)

    def _draw_C(self, V: Complex | None, generator: torch.Generator | None) -> Tensor:
        if V is None:
            return torch.randn(self.channels, self.H, self.N, dtype=torch.complex128, generator=generator)
        C0 = torch.randn(self.channels, self.H, len(V), dtype=torch.float64, generator=generator)
        return C0.to(torch.complex128) @ torch.from_numpy(V)

    @property
    def Lambda(self) -> Tensor:
        """Poles of the continuous system, (n_ssm, N), complex128."""
        return -torch.complex(self.A_real.double().exp(), self.A_imag.double())

    def system(self, rate: float) -> tuple[Tensor, Tensor, Tensor]:
        z, gain = discretise(self.per_channel(self.Lambda), self.dt(rate), self.disc)
        return z, gain * self.per_channel(complex128(self.B)), complex128(self.C) * self.weight.double()
