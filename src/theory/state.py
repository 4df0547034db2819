"""What training a theory run changes, and the contract of the engines that change it."""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch

from .config import TheoryConfig
from .polar import initial


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
