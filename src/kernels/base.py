"""The contract of every kernel: a linear time-invariant SSM per channel, as convolution, as recurrence and in chunks.

    x_t = A x_(t-1) + B u_t,   y_t = Re(C x_t)   <=>   y = K * u,   K[t] = Re(C A^t B)

Shapes: B batch, C output channels of a kernel (2 for a bidirectional layer), H channels, N states, L time steps.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import wraps
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ..errors import UserError
from ..ops.precision import full_precision
from .parameters import LearningRate, draw_dt, dt_of, learning_rates, register


def in_full_precision(method: Callable) -> Callable:
    """Runs a kernel's method with autocast off."""

    @wraps(method)
    def wrapped(self: "Kernel", *args, **kwargs):
        with full_precision(self.inv_dt):
            return method(self, *args, **kwargs)

    return wrapped


class DiscreteSystem(NamedTuple):
    """Matrices of one time step; factors such as the 2 of conjugate pairs are inside C."""

    A: Tensor  # (H, N) diagonal, or (H, n, n) dense
    B: Tensor  # (H, N) or (H, n)
    C: Tensor  # (C, H, N) or (C, H, n)


class Kernel(nn.Module, ABC):
    """An SSM for each of H channels. Subclasses set N, register their parameters and implement the abstract methods,
    each of them `in_full_precision`.

    Args:
        H: number of channels (d_model).
        channels: output channels for each of the H inputs.
        dt_min, dt_max: range of the log-uniform draw of the steps.
        dt_transform: how the step is stored, 'softplus' or 'exp'.
        n_ssm: number of distinct (A, B); None means H. Channel h uses copy h mod n_ssm.
        lr: learning rate of dt, A, B: a number, None (the global one), or a dict by name; 0 freezes.
        generator: source of random draws; None is torch's global one.
    """

    N: int

    def __init__(
        self,
        H: int,
        *,
        channels: int = 1,
        dt_min: float = 0.001,
        dt_max: float = 0.1,
        dt_transform: str = "softplus",
        n_ssm: int | None = 1,
        lr: LearningRate = None,
        generator: torch.Generator | None = None,
    ):
        super().__init__()
        n_ssm = H if n_ssm is None else n_ssm
        if n_ssm < 1 or H % n_ssm:
            raise UserError(f"n_ssm must divide d_model, got n_ssm={n_ssm} and d_model={H}")
        self.H, self.channels, self.n_ssm, self.dt_transform = H, channels, n_ssm, dt_transform
        self.lr = learning_rates(lr)
        register(self, "inv_dt", draw_dt(H, dt_min, dt_max, dt_transform, generator), self.lr["dt"])

    @abstractmethod
    def forward(self, L: int, rate: float = 1.0) -> Tensor:
        """Returns the kernel, (C, H, L), float32 or wider; `rate` scales dt (a signal sampled `rate` times slower)."""

    @abstractmethod
    def discrete(self, rate: float = 1.0) -> DiscreteSystem:
        """Returns the matrices of one step; compute them once, then pass them to `step`."""

    @abstractmethod
    def default_state(self, *batch: int) -> Tensor:
        """Returns the zero state, (*batch, H, N)."""

    @abstractmethod
    def step(self, u: Tensor, state: Tensor, system: DiscreteSystem | None = None) -> tuple[Tensor, Tensor]:
        """One time step: u (B, H), state (B, H, N) to y (B, C, H) and the next state; `system`: a kept `discrete()`."""

    @abstractmethod
    def forward_state(self, u: Tensor, state: Tensor, rate: float = 1.0) -> Tensor:
        """Returns the state after the inputs u (B, H, L) from `state` (B, H, N), without a loop over L."""

    @abstractmethod
    def response(self, state: Tensor, L: int, rate: float = 1.0) -> Tensor:
        """Returns Re(C A^(t+1) x), (B, C, H, L): what `state` adds to the next L outputs."""

    def dt(self, rate: float = 1.0) -> Tensor:
        """Returns the steps, (H,), float64."""
        return rate * dt_of(self.inv_dt, self.dt_transform)

    def per_channel(self, x: Tensor) -> Tensor:
        """Repeats (..., n_ssm, N) to (..., H, N)."""
        return x.repeat(*[1] * (x.dim() - 2), self.H // self.n_ssm, 1)
