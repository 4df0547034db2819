"""The convolution as its definition reads: a matrix of lags."""

import torch
from torch import Tensor


def fftconv_reference(u: Tensor, K: Tensor, future: Tensor | None, dtype: torch.dtype) -> Tensor:
    """The definition, y = M u with M[t, s] the kernel at lag t - s."""
    L = u.shape[-1]
    by_lag = torch.cat([torch.zeros_like(K) if future is None else future.flip(-1), K], -1)  # lags from -L to L - 1
    t = torch.arange(L, device=u.device)
    return torch.einsum("chts,bhs->bcht", by_lag[..., t[:, None] - t + L], u.to(K.dtype)).to(dtype)
