"""How S5 starts: the eigenbasis of one diagonal block, and the draws of B and C (arXiv 2208.04933, Sections 3 and 4.3).

A block is a matrix A = V diag(Lambda) V^-1 of order n with known eigenvectors: the normal part of HiPPO-LegS (S5) or a
perturbed HiPPO-LegS (S5-PTD, arXiv 2310.01698, Section 4). B and C are drawn for the state of A and carried over,
B~ = V^-1 B and C~ = C V. Under conjugate symmetry one member of each pair is kept and counts twice.
"""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from ..errors import UserError, did_you_mean
from ..linalg.hippo import legs
from ..linalg.nplr import Complex, nplr
from ..linalg.ptd.perturbation import Perturbation

B_INITS = ("lecun_normal", "hippo")
C_INITS = ("lecun_normal", "trunc_standard_normal", "complex_normal")


class Eigenbasis(NamedTuple):
    """A = V diag(Lambda) V^-1 of order n on m kept states: m = n, or one of each conjugate pair."""

    Lambda: Complex  # (m,)
    V: Complex  # (n, m)
    Vinv: Complex  # (m, n)
    weight: np.ndarray  # (m,): 2 for a state that stands for its conjugate too, otherwise 1


def normal_eigenbasis(n: int) -> Eigenbasis:
    """Returns the block of S5: the normal part of HiPPO-LegS, whose V is unitary."""
    full = nplr("legs", n)
    return Eigenbasis(full.Lambda, full.V, full.V.conj().T, np.ones(n))


def perturbed_eigenbasis(perturbation: Perturbation) -> Eigenbasis:
    """Returns the block of S5-PTD, A_H + E."""
    return Eigenbasis(perturbation.Lambda, perturbation.V, perturbation.Vinv, np.ones(perturbation.n))


def conjugate_half(block: Eigenbasis) -> Eigenbasis:
    """Keeps the eigenvalues with positive imaginary part, which then count twice, and the real ones.

    Raises:
        UserError: the spectrum is not closed under conjugation, so the matrix was not real.
    """
    Lambda = block.Lambda
    tolerance = 1e-9 * np.abs(Lambda).max()
    gaps = np.abs(Lambda[:, None] - Lambda.conj()[None, :]).min(1)
    if gaps.max() > tolerance:
        raise UserError(
            "conj_sym needs eigenvalues in conjugate pairs, and a complex perturbation has none; set it to false"
        )
    alone = np.abs(Lambda.imag) <= tolerance
    kept = alone | (Lambda.imag > 0)
    return Eigenbasis(Lambda[kept], block.V[:, kept], block.Vinv[kept], np.where(alone[kept], 1.0, 2.0))


def lecun_normal(shape: tuple[int, ...], fan_in: int, generator: torch.Generator | None = None) -> Tensor:
    """Returns a normal draw cut at two standard deviations, of variance 1 / fan_in after the cut (float64)."""
    std = fan_in**-0.5 / 0.87962566103423978  # standard deviation of a unit normal cut at +-2
    return nn.init.trunc_normal_(torch.empty(shape, dtype=torch.float64), 0.0, std, -2 * std, 2 * std, generator)


def draw_B(init: str, block: Eigenbasis, blocks: int, H: int, generator: torch.Generator | None = None) -> Tensor:
    """Returns B~ = V^-1 B, complex (J m, H).

    B is lecun normal with fan-in J n, or, for 'hippo', the B of HiPPO-LegS for every block and input.
    """
    n = block.V.shape[0]
    if init == "hippo":
        B = torch.from_numpy(legs(n)[1])[None, :, None].expand(blocks, n, H)
    elif init == "lecun_normal":
        B = lecun_normal((blocks, n, H), blocks * n, generator)
    else:
        raise UserError(f"unknown B_init '{init}'{did_you_mean(init, B_INITS)}")
    return (torch.from_numpy(block.Vinv) @ B.to(torch.complex128)).flatten(0, 1)


def draw_C(init: str, block: Eigenbasis, blocks: int, H: int, generator: torch.Generator | None = None) -> Tensor:
    """Returns C~, complex (H, J m).

    'lecun_normal' and 'trunc_standard_normal' draw Re C and Im C with variance 1 / (J n H) and 1 / (J n) and return
    C V (JAX's fan-in rule on the shapes (H, P, 2) and (1, P, 2)); 'complex_normal' draws C~ itself, E|C~|^2 = 1.
    """
    n, m = block.V.shape
    if init == "complex_normal":
        return torch.randn(H, blocks * m, dtype=torch.complex128, generator=generator)
    if init not in C_INITS:
        raise UserError(f"unknown C_init '{init}'{did_you_mean(init, C_INITS)}")
    fan_in = blocks * n * (H if init == "lecun_normal" else 1)
    C = torch.view_as_complex(lecun_normal((H, blocks, n, 2), fan_in, generator))
    return (C @ torch.from_numpy(block.V)).flatten(1)
