"""Theory runs of one shape as one batch of plain torch: the path for a GPU, where one run alone would leave the device idle.

The mathematics of src/theory/compiled.py (two tables of powers, two adjoint sums, the gradient from them) with a leading axis R of runs.
The powers are exponentials here, A^t = exp(t log A): one operation for both tables instead of a chain. They are float64 and rounded
once. A step works in place and does nothing on the host, so that a CUDA graph can hold it (src/theory/repeat.py).
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from . import compiled
from .buffers import Buffers
from .compiled import BETA1, BETA2, EPS
from .config import TheoryConfig
from .repeat import Repeated, as_cuda_graph, as_it_is
from .state import FitState

TABLE = 1024  # steps whose sizes are tabulated at once


class BatchedFit(Buffers):
    """Runs of one shape, trained together.

    Args:
        captured: on a CUDA device, replay a captured graph instead of starting every kernel from the host.
    """

    def __init__(
        self, configs: Sequence[TheoryConfig], states: Sequence[FitState], device: torch.device, captured: bool = False
    ) -> None:
        super().__init__(configs, states, device)
        R, (self.T, self.S) = len(configs), compiled.split(self.L)
        new = lambda *shape: torch.zeros(shape, dtype=self.real, device=device)
        t = torch.arange(self.T * self.S, dtype=torch.float64, device=device)
        self._exponents = torch.cat([t[: self.S], t[:: self.S]])[:, None]  # b, then a S
        self._weights = torch.stack([2 + 0 * t, 2 * t])[:, : self.L].to(self.real)
        self._adjoints = new(R, 2, self.T * self.S)  # e and t e; behind L they stay 0
        self._sizes, self._row = new(TABLE, R, 3), torch.zeros(1, dtype=torch.int64, device=device)
        self._repeat = Repeated(self._step, as_cuda_graph(device) if captured and device.type == "cuda" else as_it_is)

    def _train(self, count: int) -> None:
        for done in range(0, count, TABLE):
            steps = min(TABLE, count - done)
            self._sizes[:steps] = self.step_sizes(steps)
            self._row.zero_()
            self._repeat(steps)

    def _step(self) -> None:
        gradient = self._loss_and_gradient()
        better = self.loss < self.best_loss
        torch.where(better, self.loss, self.best_loss, out=self.best_loss)
        torch.where(better, self.step, self.best_step, out=self.best_step)
        torch.where(better[:, None, None], self.theta, self.best_theta, out=self.best_theta)
        if self.any_accumulates:
            accumulates = self.accumulates[:, None, None]
            self.total += torch.where(accumulates, gradient, 0)
            gradient = torch.where(accumulates, self.total, gradient)
        self._update(gradient)
        self.step += 1

    def _loss_and_gradient(self) -> Tensor:
        """Writes the losses and returns the gradient (R, P, N)."""
        theta = self.theta.double()
        rate = theta[:, 0].exp()
        powers = (self._exponents * -rate[:, None]).exp()  # abs(A)^t, (R, S + T, N)
        if self.complex:
            powers = torch.polar(powers, self._exponents * theta[:, 1, None])
            B, C = torch.complex(theta[:, 2], theta[:, 3]), torch.complex(theta[:, 4], theta[:, 5])
        else:
            powers[:, 1 : self.S : 2] *= self.signs[:, None]  # S is even, and so is a S
            B, C = theta[:, 1], theta[:, 2]
        w, Q, G = B * C, powers[:, : self.S], powers[:, self.S :]  # A^b and A^(a S)
        Q_rows, P_rows = self._rows(Q), self._rows(w.conj()[:, None] * G.conj())
        K = (1 + self.complex) * (P_rows @ Q_rows.mT).flatten(1)[:, : self.L]
        difference = K - self.phi
        torch.sum(difference.double().square(), -1, out=self.loss)
        torch.mul(difference[:, None], self._weights, out=self._adjoints[..., : self.L])
        over_b = (self._adjoints.unflatten(2, (self.T, self.S)).flatten(1, 2) @ Q_rows).double()  # (R, 2 T, M)
        over_b = torch.complex(*over_b.chunk(2, -1)) if self.complex else over_b
        S0, S1 = (over_b.unflatten(1, (2, self.T)) * G[:, None]).sum(2).unbind(1)
        return self._gradient(rate, B, C, S0, w * S1).to(self.real)

    def _rows(self, table: Tensor) -> Tensor:
        """Rounds a table (R, :, N); complex: real parts, then imaginary parts, (R, :, 2 N)."""
        return (torch.cat([table.real, table.imag], -1) if self.complex else table).to(self.real)

    def _gradient(self, rate: Tensor, B: Tensor, C: Tensor, S0: Tensor, wS1: Tensor) -> Tensor:
        if not self.complex:
            return torch.stack([-rate * wS1, S0 * C, S0 * B], 1)
        w_bar = 2 * S0.conj()  # dloss/dRe w + i dloss/dIm w
        gB, gC = w_bar * C.conj(), w_bar * B.conj()
        return torch.stack([-2 * rate * wS1.real, -2 * wS1.imag, gB.real, gB.imag, gC.real, gC.imag], 1)

    def _update(self, g: Tensor) -> None:
        """Adam, AdamW or RAdam by run, with the next row of the tabulated sizes."""
        numerator, scale, decay = self._sizes.index_select(0, self._row)[0, :, :, None, None].unbind(1)
        self._row += 1
        self.m.mul_(BETA1).add_(g, alpha=1 - BETA1)
        self.v.mul_(BETA2).addcmul_(g, g, value=1 - BETA2)
        denominator = torch.where(scale > 0, self.v.sqrt().mul_(scale).add_(EPS), 1)
        self.theta.mul_(decay).addcdiv_(numerator * self.m, denominator, value=-1)
