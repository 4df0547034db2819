"""S4D-Real: a diagonal real SSM per channel, K[t] = sum_n C_n Bbar_n exp(t dt Lambda_n) with Lambda_n < 0.

`d_state` real states have as many parameters as the d_state / 2 conjugate pairs of S4D (the comparison of arXiv
2410.14067); Lambda is stored as log(-Lambda), so every pole is positive after zero-order hold.
"""

import numpy as np
import torch
from torch import Tensor

from ..ops.discretise import discretise
from .diagonal import diagonal_inits
from .diagonal_system import DiagonalSystem, check_discretisation
from .parameters import MIN_DECAY, register


class RealDiagonalKernel(DiagonalSystem):
    """The diagonal SSM over the reals.

    Args:
        H: number of channels.
        d_state: number of real states N.
        init: 'diag-real' (-1, ..., -N), or another name of `diagonal_init`, of which the real part is taken.
        disc: 'zoh', the only rule that keeps every pole positive.
        options: see `Kernel`.
    """

    def __init__(
        self,
        H: int,
        d_state: int = 64,
        *,
        init: str = "diag-real",
        disc: str = "zoh",
        generator: torch.Generator | None = None,
        **options,
    ):
        super().__init__(H, generator=generator, **options)
        self.disc, self.N = check_discretisation(disc, ("zoh",)), d_state
        copies = diagonal_inits(init, d_state, self.n_ssm, generator)
        decay = torch.from_numpy(np.stack([-copy.Lambda.real for copy in copies])).clamp(min=MIN_DECAY)
        register(self, "A_real", torch.log(decay), self.lr["A"])
        register(self, "B", torch.from_numpy(np.stack([copy.B.real for copy in copies])), self.lr["B"])
        C = torch.randn(self.channels, H, d_state, generator=generator)
        register(self, "C", C, self.lr["C"], weight_decay=None)

    @property
    def Lambda(self) -> Tensor:
        """Poles of the continuous system, (n_ssm, N), float64, negative."""
        return -self.A_real.double().exp()

    def system(self, rate: float) -> tuple[Tensor, Tensor, Tensor]:
        z, gain = discretise(self.per_channel(self.Lambda), self.dt(rate), self.disc)
        return z, gain * self.per_channel(self.B.double()), self.C.double()
