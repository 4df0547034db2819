"""The engines that advance theory runs, in the forms that `src.ops.backend` chooses from.

| form        | what it is                                                                                   |
|-------------|----------------------------------------------------------------------------------------------|
| `compiled`  | CPU: one run after the other, thousands of steps a call (src/theory/compiled.py)              |
| `triton`    | GPU: a program a run in one persistent kernel (src/theory/fused.py), where its shape fits     |
| `torch`     | all runs of a shape as one batch (src/theory/batched.py); on a GPU a captured graph replays it |
| `reference` | the batch, every operation started from the host                                             |

All advance their runs by the same number of steps and are compared with torch autograd and torch.optim step by step in the tests. A
run's numbers depend on nothing but its config, so chunks and interruptions leave no trace; neighbours leave none either, save in the last
bits of a batch, where the size of a matrix product may decide the order of its sums.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor

from ..ops.backend import Operation, chosen
from . import compiled
from .batched import BatchedFit
from .config import OPTIMIZERS, TheoryConfig
from .state import Fit, FitState
from .targets import target


class CompiledFit:
    """Runs on one CPU core, one after the other."""

    def __init__(self, configs: Sequence[TheoryConfig], states: Sequence[FitState]) -> None:
        self.configs, self.states = list(configs), list(states)
        self._phi = [target(c.task_name, c.L, c.seed).astype(c.dtype) for c in configs]

    def advance(self, count: int) -> np.ndarray:
        with _denormals_are_zero():
            return np.array([self._train(r, count) for r in range(len(self.states))])

    def _train(self, r: int, count: int) -> float:
        s, c = self.states[r], self.configs[r]
        best = np.array([s.best_loss, s.best_step])
        loss = compiled.train(
            *(s.theta, s.signs, self._phi[r], s.m, s.v, s.total, best, s.best_theta),
            *(s.step, count, c.num_epochs, c.lr, OPTIMIZERS.index(c.opt), c.zero_grad),
        )
        s.step, s.best_loss, s.best_step = s.step + count, float(best[0]), int(best[1])
        return loss


@contextmanager
def _denormals_are_zero() -> Iterator[None]:
    """Powers of a small radius underflow; a denormal costs a hundred normal operations and changes nothing here."""
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)


def _fused(configs: Sequence[TheoryConfig], states: Sequence[FitState], device: torch.device) -> Fit:
    from .fused import FusedFit  # Triton may be missing

    return FusedFit(configs, states, device)


def _probe(form: Callable[..., Fit], device: torch.device) -> list[Tensor]:
    """A few steps of both fields with every optimizer, gradients added up and not."""
    results = []
    for complex_option in (False, True):
        shape = dict(N=37, L=19, complex_option=complex_option, task_name="random", r_min=0.5, BC_std=0.3)
        kinds = [dict(opt=opt, zero_grad=zero_grad) for opt in OPTIMIZERS for zero_grad in (True, False)]
        configs = [TheoryConfig(**shape, **kind, lr=1e-3, num_epochs=20) for kind in kinds]
        fit = form(configs, [FitState.start(c) for c in configs], device)
        results.append(torch.from_numpy(fit.advance(10)))
        results += [torch.from_numpy(state.theta) for state in fit.states]
    return results


FIT = Operation(
    "theory fit",
    {
        "reference": BatchedFit,
        "torch": lambda configs, states, device: BatchedFit(configs, states, device, captured=True),
        "compiled": lambda configs, states, device: CompiledFit(configs, states),
        "triton": _fused,
    },
    _probe,
)


def make_fit(configs: Sequence[TheoryConfig], states: Sequence[FitState], device: str) -> tuple[Fit, str]:
    """Returns the engine for runs of one shape on a device, and its name for the results."""
    where = torch.device(device)
    name = FIT.backend(where)
    if name == "triton":
        from .fused import fits

        if not fits(configs[0]):
            why = f"torch on {device} (N = {configs[0].N} is too large for the fused kernel)"
            return FIT.forms["torch"](configs, states, where), why
    return FIT.forms[name](configs, states, where), chosen()[FIT.name]


def warm_up() -> None:
    """Compiles the CPU loops for both fields and both precisions, or loads them from the cache."""
    for complex_option in (False, True):
        for dtype in ("float32", "float64"):
            config = TheoryConfig(N=4, complex_option=complex_option, L=4, task_name="delay", num_epochs=1, dtype=dtype)
            CompiledFit([config], [FitState.start(config)]).advance(1)
