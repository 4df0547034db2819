"""The hot operations written the plain way, as the published code costs them: what the speed tables divide by.

One exponential or one division per entry of an N x L matrix, one large transform, everything under autograd.
"""

import math

import torch
from torch import Tensor


def diagonal_kernel(w: Tensor, z: Tensor, L: int) -> Tensor:
    """S4D: K[h, t] = 2 Re sum_n w[h, n] exp(z[h, n] t) by the whole Vandermonde matrix; w, z (H, N) complex; (H, L)."""
    steps = torch.arange(L, dtype=w.real.dtype, device=w.device)
    vandermonde = torch.exp(z[..., None] * steps)
    return 2 * torch.einsum("hn,hnl->hl", w, vandermonde).real


def dplr_kernel(Lambda: Tensor, P: Tensor, B: Tensor, C: Tensor, dt: Tensor, L: int) -> Tensor:
    """S4: the generating function on the roots of unity by Cauchy products and Woodbury, then one inverse FFT.

    Gu, Goel and Re, arXiv 2111.00396, Algorithm 1, with P = Q, over conjugate pairs. Lambda, P, B (N,), C (H, N), which
    stands for C (1 - Abar^L) as in the published code, dt (H,); (H, L).
    """
    root = torch.exp(-2j * math.pi / L * torch.arange(L // 2 + 1, dtype=dt.dtype, device=C.device)).to(C.dtype)
    denominator = 1 + root
    denominator = denominator + (denominator.abs() < 1e-6) * 1e-6  # the bilinear map has its pole at -1
    node = 2 * (1 - root) / denominator
    pole = Lambda * dt[:, None]

    def cauchy(weight: Tensor) -> Tensor:
        halves = (
            weight[..., None] / (node - pole[..., None]),
            weight.conj()[..., None] / (node - pole.conj()[..., None]),
        )
        return (halves[0] + halves[1]).sum(-2) * dt[:, None]

    k_cb, k_cp, k_pb, k_pp = (
        cauchy(C * B),
        cauchy(C * P),
        cauchy((P.conj() * B).expand_as(C)),
        cauchy((P.conj() * P).expand_as(C)),
    )
    return torch.fft.irfft((k_cb - k_cp * k_pb / (1 + k_pp)) * 2 / denominator, n=L)


def fftconv(u: Tensor, K: Tensor) -> Tensor:
    """Causal convolution of u (B, H, L) with K (H, L) by one transform of all channels at twice the length."""
    L = u.shape[-1]
    return torch.fft.irfft(torch.fft.rfft(u, n=2 * L) * torch.fft.rfft(K, n=2 * L), n=2 * L)[..., :L]
