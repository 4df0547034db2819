"""One layer of every kind, small: the cases that the contracts of layers and models run over."""

from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from src.kernels import DiagonalKernel, DPLRKernel, RealDiagonalKernel, ptd_kernel
from src.layers import S5, S4Block, S5Block, S5Options
from src.layers.s5_init import normal_eigenbasis, perturbed_eigenbasis
from src.linalg.hippo import legs
from src.linalg.nplr import low_rank
from src.linalg.ptd.perturbation import Perturbation, canonical

H = 6


def perturbed(n: int, field: type = float) -> Perturbation:
    """Returns HiPPO-LegS plus half of the rank-1 part that makes it normal: stable, cond(V) < 3."""
    (A, _), P = legs(n), low_rank("legs", n)
    E = P @ P.T * (0.5 if field is float else 0.5 + 0.1j)
    Lambda, V = np.linalg.eig(A + E)
    return canonical(E, Lambda, V, np.linalg.inv(V))


def s4(kernel: Callable[..., nn.Module], *args, bidirectional: bool = False, **options) -> Callable[..., S4Block]:
    """Returns a maker of `S4Block(kernel(...))`; the layer's own options are given when it is made."""
    channels = {"channels": 2} if bidirectional else {}
    return lambda **layer: S4Block(kernel(*args, H=H, **channels, **options), bidirectional=bidirectional, **layer)


def s5(block, blocks: int, activation: str = "half_glu2", **options) -> Callable[..., S5Block]:
    """Returns a maker of `S5Block`."""
    return lambda **layer: S5Block(S5(H, block, blocks, S5Options(**options)), activation, **layer)


CAUSAL = {
    "S4": s4(DPLRKernel, d_state=6),
    "S4 legt, two SSMs": s4(DPLRKernel, d_state=4, init="legt", n_ssm=2),
    "S4D legs": s4(DiagonalKernel, d_state=6, n_ssm=None),
    "S4D lin bilinear": s4(DiagonalKernel, d_state=6, init="diag-lin", disc="bilinear", dt_transform="exp"),
    "S4D-Real": s4(RealDiagonalKernel, d_state=5),
    "S4D heads": s4(DiagonalKernel, d_state=4, channels=3),
    "S4-PTD real E": s4(ptd_kernel, perturbed(6)),
    "S4-PTD complex E": s4(ptd_kernel, perturbed(6, complex)),
    "S5": s5(normal_eigenbasis(4), 2),
    "S5 in full, bilinear": s5(normal_eigenbasis(4), 2, "gelu", conj_sym=False, disc="bilinear"),
    "S5-PTD": s5(perturbed_eigenbasis(perturbed(5)), 2, "full_glu", poles="clip", C_init="lecun_normal"),
    "S5-PTD complex E": s5(
        perturbed_eigenbasis(perturbed(4, complex)), 1, "half_glu1", conj_sym=False, B_init="hippo", poles="reflect"
    ),
}
BIDIRECTIONAL = {
    "S4 both ways": s4(DPLRKernel, d_state=6, bidirectional=True),
    "S4D both ways": s4(DiagonalKernel, d_state=6, bidirectional=True),
    "S5 both ways": s5(normal_eigenbasis(4), 2, bidirectional=True, C_init="complex_normal"),
}
ALL = CAUSAL | BIDIRECTIONAL


def make(name: str, dtype: torch.dtype = torch.float64, **options) -> nn.Module:
    """Returns the case of this name, seeded, in evaluation mode."""
    torch.manual_seed(0)
    return ALL[name](**options).to(dtype).eval()
