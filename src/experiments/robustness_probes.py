"""What a trained model is probed with (arXiv 2310.01698, Section 5.2, and beyond): a list of noises, each at a place.

| group      | place  | what is swept                                                                  |
|------------|--------|--------------------------------------------------------------------------------|
| clean      | -      | nothing                                                                        |
| frequency  | layers | Fourier mode, omega from 1 to four times the last spike, and at the three last spikes |
| amplitude  | layers | Fourier mode at the last spike, amplitude                                      |
| white      | layers | white noise, standard deviation                                                |
| input      | input  | Fourier mode on the pixels, at the last spike for the middle dt, amplitude      |
| pixels     | input  | white noise on the pixels, standard deviation                                  |
| mask       | input  | share of pixels that are zeroed                                                |
| corruption | input  | brightness, contrast, blur, pixelate, impulse, each at two severities           |
"""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from ..layers import S4Block
from ..linalg.legs_transfer import last_spike, pole_frequencies
from ..models import Classifier
from ..tasks.corruptions import Blur, Brightness, Contrast, Impulse, Pixelate
from ..tasks.noise import FourierMode, Masking, Noise, White

DT_MIN, DT_MAX = 0.001, 0.1
GROUPS = ("frequency", "amplitude", "white", "input", "pixels", "mask", "corruption")
AMPLITUDES = (0.03, 0.1, 0.3, 1.0, 3.0)
STRENGTHS = (0.1, 0.3, 1.0)
SHARES = (0.1, 0.3, 0.5)
CORRUPTIONS: tuple[tuple[str, float, Noise], ...] = (
    ("brightness", 0.5, Brightness(0.5)),
    ("brightness", 1.0, Brightness(1.0)),
    ("contrast", 0.5, Contrast(0.5)),
    ("contrast", 0.25, Contrast(0.25)),
    ("blur", 1.0, Blur(1)),
    ("blur", 2.0, Blur(2)),
    ("pixelate", 2.0, Pixelate(2)),
    ("pixelate", 4.0, Pixelate(4)),
    ("impulse", 0.05, Impulse(0.05)),
    ("impulse", 0.2, Impulse(0.2)),
)


@dataclass(frozen=True)
class Probe:
    """One noise; `omega` and `level` are what its group sweeps."""

    group: str
    kind: str
    place: Literal["none", "layers", "input"]
    noise: Noise | None
    level: float = 0.0
    omega: float | None = None


def frequencies(n: int, count: int) -> list[float]:
    """Returns `count` log-spaced frequencies from 1 to four times the last spike, and the (up to three) last spikes themselves."""
    grid = np.geomspace(1.0, 4.0 * last_spike(n), count)
    return sorted({*(float(f"{w:.6g}") for w in grid), *(float(w) for w in pole_frequencies(n, 3))})


def probes(groups: tuple[str, ...], n: int, count: int, amplitudes: tuple[float, ...]) -> list[Probe]:
    """Returns the probes of the named groups after the clean one.

    Args:
        groups: names in `GROUPS`.
        n: states of the SSM, which set the spikes.
        count: frequencies of the sweep.
        amplitudes: of the frequency sweep.
    """
    omega = last_spike(n)
    found = [Probe("clean", "clean", "none", None)]
    if "frequency" in groups:
        sweep = [(w, a) for a in amplitudes for w in frequencies(n, count)]
        found += [Probe("frequency", "fourier", "layers", FourierMode(w, a), a, w) for w, a in sweep]
    if "amplitude" in groups:
        found += [Probe("amplitude", "fourier", "layers", FourierMode(omega, a), a, omega) for a in AMPLITUDES]
    if "white" in groups:
        found += [Probe("white", "white", "layers", White(s), s) for s in STRENGTHS]
    if "input" in groups:
        found += [Probe("input", "fourier", "input", FourierMode(omega, a), a, omega) for a in STRENGTHS]
    if "pixels" in groups:
        found += [Probe("pixels", "white", "input", White(s), s) for s in STRENGTHS]
    if "mask" in groups:
        found += [Probe("mask", "mask", "input", Masking(p), p) for p in SHARES]
    if "corruption" in groups:
        found += [Probe("corruption", kind, "input", noise, level) for kind, level, noise in CORRUPTIONS]
    return found


def layer_steps(model: Classifier) -> list[tuple[nn.Module, Tensor]]:
    """Returns every SSM layer with the steps dt (H,) of its channels.

    S5's states are shared by its channels and each has its own dt: all channels get the middle of their log-uniform range, 0.01, which is
    the step of the published S5 test too.
    """
    layers = [block.layer for block in model.tower.backbone.blocks]
    return [(layer, _steps(layer, model.tower.d_model)) for layer in layers]


def _steps(layer: nn.Module, H: int) -> Tensor:
    if isinstance(layer, S4Block):
        return layer.kernel.dt().detach()
    return torch.full((H,), middle_step(), dtype=torch.float64)


def middle_step() -> float:
    """The geometric mean of the range from which dt is drawn."""
    return math.sqrt(DT_MIN * DT_MAX)


def input_steps(d_input: int, dt: float) -> torch.Tensor:
    """Returns the steps dt (d_input,) of the raw input's channels, for a Fourier mode on them."""
    return torch.full((d_input,), dt, dtype=torch.float64)
