"""Theory runs of one shape as one batch of tensors: the path for a GPU, where one run alone would leave the device idle.

The same mathematics as src/theory/compiled.py (tables of powers, two adjoint sums, the gradient from them), with a leading axis R of runs
that may differ in target, seed, initial radius, learning rate and optimizer. A step does no work on the host: step numbers, learning rates
and optimizer constants are tensors on the device.
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from src.theory import compiled
from src.theory.compiled import BETA1, BETA2, EPS, WEIGHT_DECAY
from src.theory.config import OPTIMIZERS, TheoryConfig
from src.theory.state import FitState
from src.theory.targets import target


class BatchedFit:
    """Runs of equal N, L, field, precision and step number, trained together on `device`.

    Raises:
        ValueError: the runs do not have one shape.
    """

    def __init__(self, configs: Sequence[TheoryConfig], states: Sequence[FitState], device: str) -> None:
        if len({(c.N, c.L, c.complex_option, c.dtype) for c in configs}) != 1 or len({s.step for s in states}) != 1:
            raise ValueError("a batch holds runs of one shape that stand at one step")
        self.configs, self._states, self.device = list(configs), list(states), torch.device(device)
        c = configs[0]
        self.L, self.complex, self.real = c.L, c.complex_option, getattr(torch, c.dtype)
        self.T, self.S = compiled.split(c.L)
        stack = lambda name: torch.from_numpy(np.stack([getattr(s, name) for s in states])).to(self.device)
        self.theta, self.m, self.v, self.total, self.best_theta = map(stack, ("theta", "m", "v", "total", "best_theta"))
        self.signs = stack("signs")
        self.phi = self._column([target(c.task_name, c.L, c.seed) for c in configs], self.real)
        self.best_loss = self._column([s.best_loss for s in states])
        self.best_step = self._column([s.best_step for s in states], torch.int64)
        self.lr, self.horizon = self._column([c.lr for c in configs]), self._column([c.num_epochs for c in configs])
        self.accumulate = self._column([not c.zero_grad for c in configs], self.real)[:, None, None]
        kind = self._column([OPTIMIZERS.index(c.opt) for c in configs], torch.int64)
        self.is_adamw, self.is_radam = kind == compiled.ADAMW, kind == compiled.RADAM
        self.step = self._column([s.step for s in states], torch.int64)

    def _column(self, values: Sequence[object], dtype: torch.dtype = torch.float64) -> Tensor:
        return torch.as_tensor(np.array(values), dtype=dtype).to(self.device)

    @property
    def states(self) -> list[FitState]:
        """The runs' states, copied from the device."""
        fields = {k: getattr(self, k).cpu().numpy() for k in ("theta", "m", "v", "total", "best_theta")}
        loss, best, step = self.best_loss.tolist(), self.best_step.tolist(), self.step.tolist()
        for r, state in enumerate(self._states):
            for name, values in fields.items():
                setattr(state, name, values[r].copy())
            state.best_loss, state.best_step, state.step = loss[r], best[r], step[r]
        return self._states

    @torch.no_grad()
    def advance(self, count: int) -> np.ndarray:
        """Does `count` steps; returns the losses before the last update, (R,). A run that diverges does not touch the others."""
        loss = self.best_loss
        for _ in range(count):
            loss, gradient = self._loss_and_gradient()
            better = loss < self.best_loss
            self.best_loss = torch.where(better, loss, self.best_loss)
            self.best_step = torch.where(better, self.step, self.best_step)
            self.best_theta = torch.where(better[:, None, None], self.theta, self.best_theta)
            self.total += self.accumulate * gradient
            self._update(torch.where(self.accumulate > 0, self.total, gradient))
            self.step += 1
        return loss.cpu().numpy()

    def _loss_and_gradient(self) -> tuple[Tensor, Tensor]:
        """Returns the losses (R,) in float64 and the gradient (R, P, N)."""
        theta = self.theta.double()
        rate = theta[:, 0].exp()
        log_A = torch.complex(-rate, theta[:, 1] if self.complex else torch.zeros_like(rate))
        A = log_A.exp() if self.complex else log_A.exp() * self.signs
        if self.complex:
            B, C = torch.complex(theta[:, 2], theta[:, 3]), torch.complex(theta[:, 4], theta[:, 5])
        else:
            B, C = (torch.complex(x, torch.zeros_like(x)) for x in (theta[:, 1], theta[:, 2]))
        Q = _powers(A, self.S)  # (R, S, N)
        G = _powers(Q[:, -1] * A, self.T)  # A^(aS), (R, T, N)
        weighted = (B * C)[:, None] * G
        Q_rows = torch.cat([Q.real, Q.imag], -1).to(self.real)
        P_rows = torch.cat([weighted.real, -weighted.imag], -1).to(self.real)
        K = (1 + self.complex) * (P_rows @ Q_rows.mT).flatten(1)[:, : self.L]
        difference = K - self.phi
        e = torch.nn.functional.pad(2 * difference, (0, self.T * self.S - self.L)).unflatten(1, (self.T, self.S))
        t = torch.arange(self.T * self.S, device=self.device, dtype=self.real).view(self.T, self.S)
        both = torch.cat([e, t * e], 1) @ Q_rows  # sums over b: (R, 2T, 2N)
        both = torch.complex(*both.double().chunk(2, -1)).unflatten(1, (2, self.T))
        S0, S1 = (both * G[:, None]).sum(2).unbind(1)
        return difference.double().square().sum(-1), self._gradient(rate, B, C, S0, S1).to(self.real)

    def _gradient(self, rate: Tensor, B: Tensor, C: Tensor, S0: Tensor, S1: Tensor) -> Tensor:
        wS1 = B * C * S1
        if not self.complex:
            return torch.stack([-rate * wS1.real, (S0 * C).real, (S0 * B).real], 1)
        w_bar = 2 * S0.conj()  # dloss/dRe w + i dloss/dIm w
        gB, gC = w_bar * C.conj(), w_bar * B.conj()
        return torch.stack([-2 * rate * wS1.real, -2 * wS1.imag, gB.real, gB.imag, gC.real, gC.imag], 1)

    def _update(self, g: Tensor) -> None:
        """Adam, AdamW or RAdam by run, with the constants of `compiled._update` as tensors (R,)."""
        k = self.step.double()
        lr = self.lr * 0.5 * (1 + torch.cos(math.pi * k / self.horizon))
        c1, c2 = 1 - BETA1 ** (k + 1), 1 - BETA2 ** (k + 1)
        rho_inf = 2 / (1 - BETA2) - 1
        rho = rho_inf - 2 * (k + 1) * BETA2 ** (k + 1) / c2
        variance = (rho - 4) * (rho - 2) * rho_inf / ((rho_inf - 4) * (rho_inf - 2) * rho)
        rect = torch.where(rho > 5, variance, torch.ones_like(rho)).sqrt() * c2.sqrt()
        momentum_only = self.is_radam & (rho <= 5)
        numerator = lr / c1 * torch.where(self.is_radam & ~momentum_only, rect, torch.ones_like(rect))
        scale = torch.where(self.is_radam, torch.ones_like(c2), c2.rsqrt())
        decay = torch.where(self.is_adamw, 1 - lr * WEIGHT_DECAY, torch.ones_like(lr))
        numerator, scale, decay = (x.to(self.real)[:, None, None] for x in (numerator, scale, decay))
        self.m.mul_(BETA1).add_(g, alpha=1 - BETA1)
        self.v.mul_(BETA2).addcmul_(g, g, value=1 - BETA2)
        denominator = torch.where(momentum_only[:, None, None], torch.ones_like(g), self.v.sqrt() * scale + EPS)
        self.theta = decay * self.theta - numerator * self.m / denominator


def _powers(x: Tensor, count: int) -> Tensor:
    """Returns x^0 .. x^(count - 1) stacked on axis 1, by doubling: (R, N) to (R, count, N)."""
    table, high = torch.ones_like(x)[:, None], x
    while table.shape[1] < count:
        table = torch.cat([table, table * high[:, None]], 1)
        high = high * high
    return table[:, :count]
