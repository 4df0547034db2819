"""Theory runs of one shape as tensors of one device with a leading axis R: what engines on a device train in place.

Runs may differ in target, seed, initial radius, learning rate, length of the schedule and optimizer. The host does nothing for a single
step: what Adam, AdamW and RAdam take from the step's number is tabulated for many steps at once (`Buffers.step_sizes`).
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from . import compiled
from .compiled import BETA1, BETA2, WEIGHT_DECAY
from .config import OPTIMIZERS, TheoryConfig
from .state import FitState
from .targets import target

_ARRAYS = ("theta", "m", "v", "total", "best_theta")


class Buffers:
    """Runs of equal N, L, field, precision and step number on `device`; an engine adds `_train`.

    Raises:
        ValueError: the runs do not have one shape.
    """

    def __init__(self, configs: Sequence[TheoryConfig], states: Sequence[FitState], device: torch.device) -> None:
        if len({(c.N, c.L, c.complex_option, c.dtype) for c in configs}) != 1 or len({s.step for s in states}) != 1:
            raise ValueError("a batch holds runs of one shape that stand at one step")
        self._states, self.device, c = list(states), device, configs[0]
        self.N, self.L, self.complex, self.real = c.N, c.L, c.complex_option, getattr(torch, c.dtype)
        stack = lambda name: torch.from_numpy(np.stack([getattr(s, name) for s in states])).to(device)
        self.theta, self.m, self.v, self.total, self.best_theta = map(stack, _ARRAYS)  # (R, P, N)
        self.signs = stack("signs")  # (R, N), complex: (R, 0)
        self.phi = self._column([target(c.task_name, c.L, c.seed) for c in configs], self.real)  # (R, L)
        self.loss = torch.full((len(configs),), math.inf, dtype=torch.float64, device=device)
        self.best_loss = self._column([s.best_loss for s in states])
        self.best_step = self._column([s.best_step for s in states], torch.int64)
        self.step = self._column([s.step for s in states], torch.int64)
        self.lr, self.horizon = self._column([c.lr for c in configs]), self._column([c.num_epochs for c in configs])
        self.accumulates = self._column([not c.zero_grad for c in configs], torch.bool)
        self.any_accumulates = any(not c.zero_grad for c in configs)
        kind = self._column([OPTIMIZERS.index(c.opt) for c in configs], torch.int64)
        self._is_adamw, self._is_radam = kind == compiled.ADAMW, kind == compiled.RADAM

    def _column(self, values: Sequence[object], dtype: torch.dtype = torch.float64) -> Tensor:
        return torch.as_tensor(np.array(values), dtype=dtype).to(self.device)

    @property
    def states(self) -> list[FitState]:
        """The runs' states, copied from the device."""
        arrays = {name: getattr(self, name).cpu().numpy() for name in _ARRAYS}
        loss, best, step = self.best_loss.tolist(), self.best_step.tolist(), self.step.tolist()
        for r, state in enumerate(self._states):
            for name, values in arrays.items():
                setattr(state, name, values[r].copy())
            state.best_loss, state.best_step, state.step = loss[r], best[r], step[r]
        return self._states

    @torch.no_grad()
    def advance(self, count: int) -> np.ndarray:
        """Does `count` steps; returns the losses before the last update, (R,). A run that diverges does not touch the others."""
        self._train(count)
        return self.loss.cpu().numpy().copy()  # on a CPU the first two share memory with what the next steps overwrite

    def _train(self, count: int) -> None:
        raise NotImplementedError

    def step_sizes(self, count: int) -> Tensor:
        """Returns what the next `count` steps take from their number, (count, R, 3) float64: numerator, scale and decay of

            theta <- decay theta - numerator m / (scale sqrt(v) + eps),

        with the constants of `compiled._update`. Scale 0 marks the first steps of RAdam, which have no denominator.
        """
        k = (self.step + torch.arange(count, device=self.device)[:, None]).double()
        lr = self.lr * 0.5 * (1 + torch.cos(math.pi * k / self.horizon))
        k += 1
        c1, c2 = 1 - BETA1**k, 1 - BETA2**k
        rho_inf = 2 / (1 - BETA2) - 1
        rho = rho_inf - 2 * k * BETA2**k / c2
        variance = (rho - 4) * (rho - 2) * rho_inf / ((rho_inf - 4) * (rho_inf - 2) * rho)
        rectified, adapts = self._is_radam & (rho > 5), ~self._is_radam
        numerator = lr / c1 * torch.where(rectified, (variance.clamp_min(0) * c2).sqrt(), 1.0)
        scale = torch.where(adapts, c2.rsqrt(), rectified.double())
        return torch.stack([numerator, scale, torch.where(self._is_adamw, 1 - lr * WEIGHT_DECAY, 1.0)], -1)
