"""S4's kernel as published, an independent oracle: the generating function by Cauchy products and Woodbury, in float64.

Gu, Goel and Re, arXiv 2111.00396, Algorithm 1: K^(w) = 2/(1+w) [k_cb - k_cp (1 + k_pp)^-1 k_pb](z), z = 2/dt (1-w)/(1+w), on
the roots of unity w, with k_xy(z) = sum_n x_n y_n / (z - Lambda_n) and C (1 - Abar^L) in place of C. L is odd: w = -1 is a pole.
"""

import numpy as np
import pytest
import torch

from src.errors import UserError
from src.kernels import DiagonalKernel, DPLRKernel
from src.kernels.diagonal import diagonal_init
from src.linalg.nplr import conjugate_halves, nplr

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


def written_out(N):
    """Lambda, P, B of the published initialisation, one formula after the other; the half with negative frequencies."""
    i = np.arange(N)
    A = -np.tril(np.sqrt(np.outer(2 * i + 1, 2 * i + 1)), -1) - np.diag(i + 1.0)
    P = np.sqrt(i + 0.5)
    normal = A + np.outer(P, P)
    omega, V = np.linalg.eigh(-1j * (normal + 0.5 * np.eye(N)))  # LAPACK, lower triangle: the first component is real
    V = V[:, : N // 2]
    B = V.conj().T @ np.sqrt(2.0 * i + 1)
    return -0.5 + 1j * omega[: N // 2], V.conj().T @ P, B.real + 1j * np.clip(B.imag, -2.0, 2.0)


def same_up_to_sign(ours, theirs):
    """Ours has the positive half, ascending; the sign of an eigenvector is arbitrary."""
    theirs = theirs[::-1].conj()
    sign = np.sign((ours * theirs.conj()).real)
    np.testing.assert_allclose(ours * sign, theirs, rtol=0, atol=1e-12 * np.abs(theirs).max())
    return sign


@pytest.mark.parametrize("N", [16, 64])
def test_s4_starts_as_published_when_asked_to(N):
    Lambda, P, B = written_out(N)
    kernel = DPLRKernel(2, N, B_init="published")
    start = kernel.continuous()
    np.testing.assert_allclose(start.d[0].detach(), Lambda[::-1].conj(), atol=1e-12 * np.abs(Lambda).max())
    sign = same_up_to_sign(start.b[0].detach().numpy(), B)
    np.testing.assert_array_equal(sign, same_up_to_sign(-start.p[0, 0].detach().numpy(), P))
    assert (np.abs(B.imag) > 1.999).any()


@pytest.mark.parametrize("N", [16, 64])
def test_s4d_legs_starts_as_published_when_asked_to(N):
    """The clipped B of HiPPO, not half of it."""
    Lambda, _, B = written_out(N)
    start = diagonal_init("legs", N // 2, B_init="published")
    np.testing.assert_allclose(start.Lambda, Lambda[::-1].conj(), atol=1e-12 * np.abs(Lambda).max())
    same_up_to_sign(start.B, B)
    kernel = DiagonalKernel(2, N, init="legs", B_init="published")
    np.testing.assert_allclose(torch.view_as_complex(kernel.B)[0].detach().numpy(), start.B, rtol=1e-14)


def test_the_clip_of_the_published_start_is_as_large_as_known():
    """|B| of the three fastest modes at N = 16, exact over clipped."""
    exact, clipped = conjugate_halves(nplr("legs", 16)), diagonal_init("legs", 8, B_init="published")
    ratio = np.abs(exact.B) / np.abs(clipped.B)
    np.testing.assert_allclose(ratio[-3:], [1.08, 1.74, 5.1], rtol=0.01)
    np.testing.assert_allclose(ratio[:-3], 1.0, rtol=1e-12)


@pytest.mark.parametrize("make", [DPLRKernel, DiagonalKernel])
def test_an_unknown_start_of_B_is_refused(make):
    with pytest.raises(UserError, match="did you mean 'published'"):
        make(2, 8, B_init="publised")
