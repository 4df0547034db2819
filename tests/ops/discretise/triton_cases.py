"""Discretisation at the papers' sizes: S4D, S4-PTD, S4D-Real, and S5 with a step for each state."""

import torch

from src.ops.discretise import DISCRETISATIONS, discretise


def _run(dtype: torch.dtype, H: int, N: int) -> None:
    for disc in DISCRETISATIONS:
        Lambda = torch.zeros(H, N, dtype=dtype, requires_grad=True)
        dt = torch.zeros(H, dtype=torch.float64, requires_grad=True)
        zeta, gain = discretise(Lambda, dt, disc, backend="triton")
        torch.real(zeta + gain).sum().backward()


def s4d() -> None:
    for N in (32, 64):
        _run(torch.complex128, 256, N)


def s4d_real() -> None:
    _run(torch.float64, 256, 64)


def s5() -> None:
    _run(torch.complex128, 192, 1)


CASES = [s4d, s4d_real, s5]
