"""S4's kernel as published, an independent oracle: the generating function by Cauchy products and Woodbury, in float64.

Gu, Goel and Re, arXiv 2111.00396, Algorithm 1: K^(w) = 2/(1+w) [k_cb - k_cp (1 + k_pp)^-1 k_pb](z), z = 2/dt (1-w)/(1+w), on
the roots of unity w, with k_xy(z) = sum_n x_n y_n / (z - Lambda_n) and C (1 - Abar^L) in place of C. L is odd: w = -1 is a pole.
"""

import pytest
import torch

from src.kernels import DPLRKernel

pytestmark = pytest.mark.usefixtures("double", "poisoned")


def published_kernel(kernel, L):
    """K (C, H, L), from the continuous system of `kernel` over both members of each conjugate pair."""
    half = kernel.continuous()
    Lambda, b, c = (torch.cat([x, x.conj()], -1) for x in (half.d, half.b, half.c))
    P = torch.cat([-half.p, -half.p.conj()], -1)  # (r, H, n)
    dt = kernel.dt().view(-1, 1, 1)
    eye = torch.eye(Lambda.shape[-1], dtype=Lambda.dtype)
    A = torch.diag_embed(Lambda) - torch.einsum("rhi,rhj->hij", P, P.conj())
    Abar = torch.linalg.solve(eye - dt / 2 * A, eye + dt / 2 * A)
    c = torch.einsum("chi,hij->chj", c, eye - torch.linalg.matrix_power(Abar, L))
    w = torch.exp(-2j * torch.pi * torch.arange(L) / L)
    z = 2 / dt * (1 - w) / (1 + w)  # (H, 1, L)
    cauchy = 1 / (z - Lambda.unsqueeze(-1))  # (H, n, L)
    k_cb = torch.einsum("chn,hn,hnl->chl", c, b, cauchy)
    k_cp = torch.einsum("chn,rhn,hnl->chrl", c, P, cauchy)
    k_pb = torch.einsum("rhn,hn,hnl->hrl", P.conj(), b, cauchy)
    k_pp = torch.einsum("rhn,shn,hnl->hlrs", P.conj(), P, cauchy)
    solved = torch.linalg.solve(torch.eye(len(P)) + k_pp, k_pb.transpose(1, 2).unsqueeze(-1)).squeeze(-1)  # (H, L, r)
    generating = 2 / (1 + w) * (k_cb - torch.einsum("chrl,hlr->chl", k_cp, solved))
    return torch.fft.ifft(generating).real


@pytest.mark.parametrize("L", [1, 3, 63, 127, 1001])
@pytest.mark.parametrize(
    ("init", "d_state", "rank"), [("legs", 8, 1), ("legs", 64, 1), ("legs", 16, 2), ("legt", 16, 2), ("fourier", 16, 1)]
)
def test_equals_the_published_kernel(init, d_state, rank, L):
    torch.manual_seed(0)
    kernel = DPLRKernel(4, d_state, init=init, rank=rank, channels=2)
    exact = published_kernel(kernel, L)
    assert (kernel(L) - exact).abs().max() < 1e-12 * exact.abs().max()
