"""Sums of exponentials and their transpose as their definitions read: the whole Vandermonde matrix, in float64."""

import torch
from torch import Tensor

from ..precision import field_of


def log_vandermonde_reference(w: Tensor, z: Tensor, L: int) -> Tensor:
    """The definition, with the whole Vandermonde matrix in float64. w: (R, H, N); z: (H, N). Returns K (R, H, L)."""
    K = torch.einsum("rhn,hnt->rht", w.to(field_of(z, torch.float64)), _matrix(z, L))
    return torch.real(K).to(w.dtype.to_real())


def log_vandermonde_transpose_reference(u: Tensor, z: Tensor) -> Tensor:
    """The definition. u: (R, H, L); z: (H, N). Returns m (R, H, N)."""
    V = _matrix(z, u.shape[-1])
    return torch.einsum("rht,hnt->rhn", u.to(V.dtype), V).to(field_of(z, u.dtype))


def _matrix(z: Tensor, L: int) -> Tensor:
    """Returns exp(z t), (H, N, L), in float64."""
    t = torch.arange(L, dtype=torch.float64, device=z.device)
    return torch.exp(z.to(field_of(z, torch.float64)).unsqueeze(-1) * t)
