"""Corruptions of square images that are read pixel after pixel, (B, side * side, C), as `Noise` for a model's raw input.

The kinds are those of Hendrycks and Dietterich, "Benchmarking Neural Network Robustness to Common Corruptions and Perturbations"
(arXiv 1903.12261), in the model's own units (pixels of mean 0 and standard deviation 1), not ImageNet-C's severities.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


def as_image(x: Tensor) -> Tensor:
    """(B, side * side, C) to (B, C, side, side). Raises ValueError for a length that is no square."""
    side = round(x.shape[1] ** 0.5)
    if side * side != x.shape[1]:
        raise ValueError(f"a square image has side * side pixels, got a sequence of {x.shape[1]}")
    return x.transpose(1, 2).unflatten(2, (side, side))


def as_sequence(image: Tensor) -> Tensor:
    """(B, C, side, side) to (B, side * side, C)."""
    return image.flatten(2).transpose(1, 2)


@dataclass(frozen=True)
class Brightness:
    """x + shift."""

    shift: float

    def __call__(self, x: Tensor, dt: Tensor, generator: torch.Generator) -> Tensor:
        return x + self.shift


@dataclass(frozen=True)
class Contrast:
    """Each image drawn towards its own mean: mean + factor (x - mean)."""

    factor: float

    def __call__(self, x: Tensor, dt: Tensor, generator: torch.Generator) -> Tensor:
        mean = x.mean(1, keepdim=True)
        return mean + self.factor * (x - mean)


@dataclass(frozen=True)
class Blur:
    """Mean over a window of (2 radius + 1)^2 pixels; at the border over the pixels that are there."""

    radius: int

    def __call__(self, x: Tensor, dt: Tensor, generator: torch.Generator) -> Tensor:
        window = 2 * self.radius + 1
        return as_sequence(F.avg_pool2d(as_image(x), window, 1, self.radius, count_include_pad=False))


@dataclass(frozen=True)
class Pixelate:
    """Means over blocks of block^2 pixels; the side must be a multiple of the block."""

    block: int

    def __call__(self, x: Tensor, dt: Tensor, generator: torch.Generator) -> Tensor:
        coarse = F.avg_pool2d(as_image(x), self.block)
        return as_sequence(coarse.repeat_interleave(self.block, 2).repeat_interleave(self.block, 3))


@dataclass(frozen=True)
class Impulse:
    """Salt and pepper: each pixel with probability p becomes +extreme or -extreme in all its channels."""

    p: float
    extreme: float = 2.0

    def __call__(self, x: Tensor, dt: Tensor, generator: torch.Generator) -> Tensor:
        u = torch.rand(*x.shape[:2], 1, generator=generator).to(x.device)
        pixel = torch.where(u < self.p / 2, -self.extreme, self.extreme).to(x)
        return torch.where(u < self.p, pixel, x)
