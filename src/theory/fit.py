"""The engines that advance theory runs: compiled loops (one run, CPU) or one batch of runs (any torch device).

Both advance all their runs by the same number of steps and are compared with torch autograd and torch.optim step by step in the
tests. A run's numbers depend on nothing but its config, so chunks, interruptions and neighbours leave no trace.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch

from src.theory import compiled
from src.theory.batched import BatchedFit
from src.theory.config import OPTIMIZERS, TheoryConfig
from src.theory.state import Fit, FitState
from src.theory.targets import target


class CompiledFit:
    """One run on one CPU core, thousands of steps a call (src/theory/compiled.py)."""

    def __init__(self, config: TheoryConfig, state: FitState) -> None:
        self.config, self.states = config, [state]
        self._phi = target(config.task_name, config.L, config.seed).astype(config.dtype)

    def advance(self, count: int) -> np.ndarray:
        s, c = self.states[0], self.config
        best = np.array([s.best_loss, s.best_step])
        with _denormals_are_zero():
            loss = compiled.train(
                *(s.theta, s.signs, self._phi, s.m, s.v, s.total, best, s.best_theta),
                *(s.step, count, c.num_epochs, c.lr, OPTIMIZERS.index(c.opt), c.zero_grad),
            )
        s.step, s.best_loss, s.best_step = s.step + count, float(best[0]), int(best[1])
        return np.array([loss])


@contextmanager
def _denormals_are_zero() -> Iterator[None]:
    """Powers of a small radius underflow; a denormal costs a hundred normal operations and changes nothing here."""
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)


def make_fit(configs: Sequence[TheoryConfig], states: Sequence[FitState], device: str) -> Fit:
    """Returns the engine for the device: compiled loops for one run on the CPU, one batch for runs of one shape elsewhere."""
    if device == "cpu":
        (config,), (state,) = configs, states
        return CompiledFit(config, state)
    return BatchedFit(configs, states, device)


def warm_up() -> None:
    """Compiles the CPU loops for both fields and both precisions, or loads them from the cache."""
    for complex_option in (False, True):
        for dtype in ("float32", "float64"):
            config = TheoryConfig(N=4, complex_option=complex_option, L=4, task_name="delay", num_epochs=1, dtype=dtype)
            CompiledFit(config, FitState.start(config)).advance(1)
