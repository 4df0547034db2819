"""Sums of exponentials in plain torch, for any device: tables by repeated doubling, blocks of channels, adjoints by moments."""

from collections.abc import Iterator

import torch
from torch import Tensor

from ..blocks import channel_blocks, table_lengths
from ..precision import field_of, full_precision

BLOCK_BYTES = 1 << 22  # measured best: smaller blocks pay for many small calls, larger ones for memory


def power_tables(z: Tensor, L: int, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Returns conj(exp(z S a)), shape (H, M, N), and conj(exp(z b)), shape (H, S, N), for a < M and b < S."""
    M, S = table_lengths(L)
    g = torch.exp(z.to(torch.complex128 if z.is_complex() else torch.float64).conj())
    fine, g = _powers(g, S, dtype)
    coarse, _ = _powers(g, M, dtype)
    return coarse, fine


def _powers(g: Tensor, count: int, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Returns g^0..g^(count-1), shape (H, count, N), by doubling, and g to the next power of two of `count`."""
    table = torch.empty(g.shape[0], count, g.shape[1], dtype=dtype, device=g.device)
    table[:, 0] = 1
    k = 1
    while k < count:
        m = min(k, count - k)
        torch.mul(table[:, :m], g.to(dtype).unsqueeze(1), out=table[:, k : k + m])
        g, k = g * g, 2 * k
    return table, g


def _flat(x: Tensor) -> Tensor:
    """Views complex (..., N) as real (..., 2N), in pairs (Re, Im); returns real tensors as they are."""
    return torch.view_as_real(x).flatten(-2) if x.is_complex() else x


def _unflat(x: Tensor, like: Tensor) -> Tensor:
    """Undoes `_flat` if `like` is complex."""
    return torch.view_as_complex(x.unflatten(-1, (-1, 2))) if like.is_complex() else x


def _product(w: Tensor, coarse: Tensor, fine: Tensor, K: Tensor) -> None:
    """Fills K (H, R, M S) from the conjugate weights (R, H, N) and the two conjugate tables."""
    left = w.transpose(0, 1).unsqueeze(2) * coarse.unsqueeze(1)
    torch.bmm(_flat(left.flatten(1, 2)), _flat(fine.conj_physical()).mT, out=K.view(len(K), -1, fine.shape[1]))


def _moments(u: Tensor, coarse: Tensor, fine: Tensor) -> Tensor:
    """Returns sum_t u_t conj(exp(z t)), (R, H, N), of u (R, H, L)."""
    return _contract(u, coarse, fine).sum(2).transpose(0, 1)


def _two_moments(u: Tensor, coarse: Tensor, fine: Tensor) -> tuple[Tensor, Tensor]:
    """Returns sum_t u_t conj(exp(z t)) and sum_t t u_t conj(exp(z t)), (R, H, N) each, of u (R, H, L)."""
    M, (H, S, N) = coarse.shape[1], fine.shape
    count = lambda n: torch.arange(n, device=u.device, dtype=u.dtype).unsqueeze(-1)
    both = fine.new_empty(H, S, 2 * N)
    both[..., :N] = fine
    torch.mul(fine, count(S), out=both[..., N:])
    zeroth, first = _flat(_contract(u, coarse, both)).chunk(2, -1)
    first.addcmul_(zeroth, S * count(M))
    m0, m1 = (_unflat(terms.sum(2), fine).transpose(0, 1) for terms in (zeroth, first))
    return m0, m1


def _contract(u: Tensor, coarse: Tensor, fine: Tensor) -> Tensor:
    """Returns sum_b u[a S + b] fine[b] coarse[a], (H, R, M, k N), of u (R, H, L); `fine` has k N columns."""
    (R, H, L), M, (S, columns) = u.shape, coarse.shape[1], fine.shape[1:]
    u = u.transpose(0, 1)
    rows = (torch.nn.functional.pad(u, (0, M * S - L)) if L < M * S else u).reshape(H, R * M, S).contiguous()
    inner = _unflat(torch.bmm(rows, _flat(fine)), fine).view(H, R, M, -1, coarse.shape[2])
    inner *= coarse.view(H, 1, M, 1, -1)
    return inner.view(H, R, M, columns)


def _blocks(z: Tensor, rows: int, L: int, dtype: torch.dtype) -> Iterator[tuple[slice, Tensor, Tensor]]:
    """Yields blocks of channels with their two conjugate tables."""
    M, S = table_lengths(L)
    size = dtype.itemsize * (rows * L + 2 * z.shape[1] * (S + (1 + rows) * M))
    for block in channel_blocks(z.shape[0], size, BLOCK_BYTES, z.device):
        yield block, *power_tables(z[block], L, dtype)


def _convolution_kernel(w: Tensor, z: Tensor, L: int) -> Tensor:
    """Returns Re sum_n conj(w_n) exp(z_n t), (R, H, L); w (R, H, N)."""
    M, S = table_lengths(L)
    K = torch.empty(w.shape[1], len(w), M * S, dtype=w.dtype.to_real(), device=w.device)
    for rows, coarse, fine in _blocks(z, len(w), L, w.dtype):
        _product(w[:, rows], coarse, fine, K[rows])
    return K[..., :L].transpose(0, 1)


class LogVandermonde(torch.autograd.Function):
    """w (R, H, N) and z (H, N) to K (R, H, L); the tables are made again in the backward pass."""

    @staticmethod
    def forward(ctx, w: Tensor, z: Tensor, L: int) -> Tensor:
        ctx.save_for_backward(w, z)
        return _convolution_kernel(w.conj_physical(), z, L)

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor, Tensor, None]:
        w, z = ctx.saved_tensors
        grad_w, grad_z = torch.empty_like(w), torch.empty_like(z)
        with full_precision(grad):
            for rows, coarse, fine in _blocks(z, len(w), grad.shape[-1], w.dtype):
                grad_w[:, rows], m1 = _two_moments(grad[:, rows], coarse, fine)
                grad_z[rows] = (w[:, rows].conj() * m1).sum(0)
        return grad_w, grad_z, None


class LogVandermondeTranspose(torch.autograd.Function):
    """u (R, H, L) and z (H, N) to m (R, H, N)."""

    @staticmethod
    def forward(ctx, u: Tensor, z: Tensor) -> Tensor:
        ctx.save_for_backward(u, z)
        m = torch.empty(*u.shape[:2], z.shape[1], dtype=field_of(z, u.dtype), device=u.device)
        for rows, coarse, fine in _blocks(z, len(u), u.shape[-1], m.dtype):
            m[:, rows] = _moments(u[:, rows], coarse, fine).conj()
        return m

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor, Tensor]:
        u, z = ctx.saved_tensors
        grad_z = torch.empty_like(z)
        with full_precision(u):
            grad_u = _convolution_kernel(grad, z, u.shape[-1])
            for rows, coarse, fine in _blocks(z, len(u), u.shape[-1], grad.dtype):
                grad_z[rows] = (_two_moments(u[:, rows], coarse, fine)[1] * grad[:, rows]).sum(0)
        return grad_u, grad_z
