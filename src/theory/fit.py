"""Training state of theory runs, and the two engines that advance it: compiled loops (CPU) and one batch of runs (any torch device).

Both engines advance all their runs by the same number of steps and are compared with torch autograd and torch.optim step by step in the
tests. A run's numbers depend on nothing but its config, so chunks, interruptions and neighbours leave no trace.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch

from src.theory import compiled
from src.theory.config import OPTIMIZERS, TheoryConfig
from src.theory.polar import initial
from src.theory.targets import target


@dataclass
class FitState:
    """All that training changes; arrays are (P, N). `best_loss` is the smallest loss so far, seen before step number `best_step`."""

    step: int
    theta: np.ndarray
    m: np.ndarray  # Adam's first moment
    v: np.ndarray  # Adam's second moment
    total: np.ndarray  # gradients added up (only moves when they are never zeroed)
    best_theta: np.ndarray
    best_loss: float
    best_step: int
    signs: np.ndarray  # (N,) of A for real, empty for complex

    @classmethod
    def start(cls, config: TheoryConfig) -> "FitState":
        """Returns the state before the first step."""
        theta, signs = initial(
            config.N, config.complex_option, config.seed, config.r_min, config.BC_std, config.radius_density
        )
        theta = np.ascontiguousarray(theta, config.dtype)
        m, v, total = (np.zeros_like(theta) for _ in range(3))
        return cls(0, theta, m, v, total, theta.copy(), float("inf"), 0, signs)

    def to_plain(self) -> dict[str, Any]:
        """Returns tensors and plain values for a checkpoint."""
        return {k: torch.from_numpy(x.copy()) if isinstance(x, np.ndarray) else x for k, x in vars(self).items()}

    @classmethod
    def from_plain(cls, plain: dict[str, Any]) -> "FitState":
        """Returns the state that `to_plain` described; keys of others are ignored."""
        own = {k: plain[k] for k in cls.__dataclass_fields__}
        return cls(**{k: x.numpy().copy() if isinstance(x, torch.Tensor) else x for k, x in own.items()})


class Fit(Protocol):
    """Runs that are trained together."""

    states: list[FitState]

    def advance(self, count: int) -> np.ndarray:
        """Does `count` steps and returns each run's loss before its last update, (R,); not finite means the run has diverged."""


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
    from src.theory.batched import BatchedFit

    return BatchedFit(configs, states, device)


def warm_up() -> None:
    """Compiles the CPU loops for both fields and both precisions, or loads them from the cache."""
    for complex_option in (False, True):
        for dtype in ("float32", "float64"):
            config = TheoryConfig(N=4, complex_option=complex_option, L=4, task_name="delay", num_epochs=1, dtype=dtype)
            CompiledFit(config, FitState.start(config)).advance(1)
