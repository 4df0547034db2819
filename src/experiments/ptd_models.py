"""The classifiers of P1's experiments (P1 = arXiv 2310.01698): S4D, S4-PTD, S4, S5 and S5-PTD of equal shape, differing in A alone.

S4D stands here as in the published code: the S4-PTD layer with E = P P^T, so that A_H + E is S4D's normal matrix, with B = V^-1 B_H and
C = C0 V. Its B is twice that of the S4D limit (B_H / 2); C is learned, so this is a factor at the start.
"""

import math
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from ..kernels import DiagonalKernel, DPLRKernel, Kernel, ptd_kernel
from ..kernels.diagonal import DiagonalInit
from ..layers import S5, S4Block, S5Block, S5Options
from ..layers.s5_init import normal_eigenbasis, perturbed_eigenbasis
from ..linalg.hippo import legs
from ..linalg.ptd import Perturbation, rank1
from ..models import Classifier, ResidualBackbone, Tower

MODELS = ("s4d", "s4-ptd", "s4", "s5", "s5-ptd")
PERTURBED = ("s4-ptd", "s5-ptd")
ModelName = Literal["s4d", "s4-ptd", "s4", "s5", "s5-ptd"]
DT_MIN, DT_MAX = 0.001, 0.1
StateForm = Literal["pairs", "all", "merged"]


def ssm_kernel(
    name: str,
    H: int,
    n: int,
    perturbation: Perturbation | None,
    lr: dict[str, float | None],
    states: StateForm,
    generator: torch.Generator,
    dt: tuple[float, float] = (DT_MIN, DT_MAX),
) -> Kernel:
    """Returns the kernel of 's4', 's4d' or 's4-ptd'.

    Args:
        H: channels.
        n: real order of the system.
        perturbation: of 's4-ptd', for n states; every Re(Lambda) >= 0 is reflected, as the published code does.
        lr: learning rates of dt, A, B and C; 0 freezes, None is the global one.
        states: 'pairs' keeps one state of each conjugate pair where E is real; 'all' keeps all n complex states and counts each twice,
            as the published robustness code does; 'merged' is 'all' with B = 1 and C = C0 V o (V^-1 B_H), as the published ablation does.
        dt: range of the log-uniform draw of the steps.
    """
    options = {"dt_min": dt[0], "dt_max": dt[1], "lr": lr, "generator": generator}
    if name == "s4":
        return DPLRKernel(H, n, **options)
    found = rank1(n) if name == "s4d" else perturbation
    if states == "pairs":
        return ptd_kernel(found, H, reflect=True, **options)
    return DiagonalKernel(H, init=_published_init(found, merged=states == "merged"), **options)


def _published_init(found: Perturbation, merged: bool) -> DiagonalInit:
    """All n states with weight 2: K = 2 Re sum over n, where half of them would do for a real E."""
    Lambda = -np.abs(found.Lambda.real) + 1j * found.Lambda.imag
    B = found.Vinv @ legs(found.n)[1]
    V, B = (found.V * B, np.ones_like(B)) if merged else (found.V, B)
    return DiagonalInit(Lambda, B.astype(complex), V.astype(complex), np.full(found.n, 2.0))


def ssm_layer(
    name: str,
    H: int,
    n: int,
    perturbation: Perturbation | None,
    lr: dict[str, float | None],
    states: StateForm,
    skip: bool,
    dropout: float,
    generator: torch.Generator,
) -> nn.Module:
    """Returns one layer; S5 has n states for all channels together, a term D u of its own, and learns B."""
    if not name.startswith("s5"):
        kernel = ssm_kernel(name, H, n, perturbation, lr, states, generator)
        return S4Block(kernel, skip=skip, dropout=dropout)
    block = perturbed_eigenbasis(perturbation.reflected()) if name == "s5-ptd" else normal_eigenbasis(n)
    real = perturbation is None or perturbation.is_real
    options = S5Options(
        conj_sym=real, dt_min=DT_MIN, dt_max=DT_MAX, opt_config="BfastandCdecay", ssm_lr=lr["A"], poles="clip"
    )
    return S5Block(S5(H, block, options=options, generator=generator), activation="full_glu", dropout=dropout)


def classifier(
    d_input: int,
    n_classes: int,
    layers: list[nn.Module],
    *,
    prenorm: bool,
    residual: bool,
    dropout: float,
    d_model: int,
) -> Classifier:
    """Returns linear encoder, layers with layer norm, mean over the sequence, linear decoder."""
    backbone = ResidualBackbone(
        layers, d_model, prenorm=prenorm, norm="layer", dropout=dropout, tie_dropout=False, residual=residual
    )
    return Classifier(Tower(nn.Linear(d_input, d_model), backbone), n_classes)


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
