"""Noise that a trained model meets at test time: it enters by forward-pre-hooks, so the model does not know of it.

The Fourier mode is that of arXiv 2310.01698, Section 5.2: channel h of an SSM layer's input u, at step k, becomes

    u_h[k] + amplitude r cos(omega dt_h k),    r ~ U(0, 1) drawn for each sample, channel and layer,

where dt_h is that channel's own step, so that every channel hears the same continuous frequency omega. At the last spike of
S4D's transfer function the published amplitude is 0.1.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn


class Noise(Protocol):
    """Changes a sequence x (B, L, H) whose channels have the steps dt (H,); all draws come from a CPU generator."""

    def __call__(self, x: Tensor, dt: Tensor, generator: torch.Generator) -> Tensor: ...


@dataclass(frozen=True)
class FourierMode:
    """x + amplitude r cos(omega dt k); omega in radians per unit of dt."""

    omega: float
    amplitude: float = 0.1

    def __call__(self, x: Tensor, dt: Tensor, generator: torch.Generator) -> Tensor:
        r = torch.rand(len(x), 1, x.shape[-1], generator=generator)
        k = torch.arange(x.shape[1], dtype=torch.float64)
        wave = torch.cos(self.omega * dt.double().cpu() * k[:, None])  # float64: the angle reaches thousands of turns
        return x + self.amplitude * r.to(x) * wave.to(x)


@dataclass(frozen=True)
class White:
    """x + std N(0, 1), independent in every entry."""

    std: float

    def __call__(self, x: Tensor, dt: Tensor, generator: torch.Generator) -> Tensor:
        return x + self.std * torch.randn(x.shape, generator=generator).to(x)


@dataclass(frozen=True)
class Masking:
    """Whole steps are zeroed, each with probability p."""

    p: float

    def __call__(self, x: Tensor, dt: Tensor, generator: torch.Generator) -> Tensor:
        kept = torch.rand(*x.shape[:2], 1, generator=generator) >= self.p
        return x * kept.to(x)


@contextmanager
def injected(places: Sequence[tuple[nn.Module, Tensor]], noise: Noise, seed: int) -> Iterator[None]:
    """Changes the first argument of each module in `places` while the context lasts.

    Args:
        places: modules that take (B, L, H) first, each with the steps dt (H,) of its channels: the SSM layers, or the whole model
            for noise on the raw input.
        noise: what happens to that argument.
        seed: of the draws, which are the same in every use of the context.
    """
    generator = torch.Generator().manual_seed(seed)

    def hook_for(dt: Tensor):
        return lambda module, args: (noise(args[0], dt, generator), *args[1:])

    hooks = [module.register_forward_pre_hook(hook_for(dt)) for module, dt in places]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
