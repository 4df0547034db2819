"""Causal convolution y[t] = sum_{s <= t} K[t - s] u[s] by the FFT."""

import torch
from torch import Tensor


def fftconv(u: Tensor, K: Tensor) -> Tensor:
    """Returns y = K * u: u (B, H, L) and K (H, L) give (B, H, L); K (C, H, L) gives (B, C, H, L)."""
    n = 2 * u.shape[-1]
    if K.dim() == 3:
        u = u.unsqueeze(1)
    return torch.fft.irfft(torch.fft.rfft(u.float(), n=n) * torch.fft.rfft(K, n=n), n=n)[..., : u.shape[-1]]
