"""Sums of exponentials K[t] = Re sum_n w_n exp(z_n t), t < L, and their transpose, by two small power tables.

With t = a S + b, S ~ sqrt(L), the Vandermonde matrix factors into powers of exp(z S) and of exp(z),

    K[a S + b] = Re sum_n (w_n exp(z_n S)^a) (exp(z_n)^b),

so a kernel costs O(N sqrt(L)) complex products for the tables and one real matrix product of 4 N L operations, where
the N x L matrix costs N L complex exponentials (S4D, arXiv 2206.11893, equation 7). The tables come from
repeated doubling; what is doubled is squared in float64, so phases stay right at any L and |exp(z)| = 1 is no
exception. The state's memory of an input, sum_t u_t exp(z t), is the transpose of the same factorisation.
"""

import torch
from torch import Tensor

from src.ops.precision import at_least_float32, full_precision


def log_vandermonde(w: Tensor, z: Tensor, L: int) -> Tensor:
    """Returns K[..., h, t] = Re sum_n w[..., h, n] exp(z[h, n] t) for t = 0..L-1.

    Args:
        w: (..., H, N) weights, real or complex; their precision is that of the result.
        z: (H, N) logarithms of the poles, real or complex like w; float64 keeps large phases exact.
        L: number of time steps, at least 1.

    Returns:
        (..., H, L), real, contiguous when w is (H, N) and L is a multiple of the table length.
    """
    if L < 1:
        raise ValueError(f"L must be at least 1, got {L}")
    w = at_least_float32(w)
    with full_precision(w):
        K = _LogVandermonde.apply(w.reshape(-1, *z.shape), z, L)
        return K.reshape(*w.shape[:-1], L)


def log_vandermonde_transpose(u: Tensor, z: Tensor) -> Tensor:
    """Returns m[..., h, n] = sum_t u[..., h, t] exp(z[h, n] t): the transpose of `log_vandermonde` in w.

    Args:
        u: (..., H, L) real; its precision is that of the result.
        z: (H, N) logarithms of the poles.

    Returns:
        (..., H, N), complex if z is.
    """
    u = at_least_float32(u)
    with full_precision(u):
        m = _LogVandermondeTranspose.apply(u.reshape(-1, *u.shape[-2:]), z)
        return m.reshape(*u.shape[:-1], z.shape[-1])


def table_lengths(L: int) -> tuple[int, int]:
    """Returns (M, S) with M S >= L > (M - 1) S: S the power of two next to sqrt(L)."""
    S = 1 << (max(L - 1, 1).bit_length() // 2)
    return -(-L // S), S


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


def _product(wc: Tensor, coarse: Tensor, fine: Tensor, L: int) -> Tensor:
    """K (R, H, L) from the conjugate weights (R, H, N) and the two conjugate tables."""
    R, H, N = wc.shape
    left = wc.transpose(0, 1).unsqueeze(2) * coarse.unsqueeze(1)
    K = torch.bmm(_flat(left.reshape(H, -1, N)), _flat(fine.conj_physical()).mT)
    return K.reshape(H, R, -1)[..., :L].transpose(0, 1)


def _moments(u: Tensor, coarse: Tensor, fine: Tensor, first: bool) -> tuple[Tensor, Tensor | None]:
    """Returns sum_t u_t conj(exp(z t)) and, if `first`, sum_t t u_t conj(exp(z t)), (R, H, N), of u (R, H, L)."""
    R, H, L = u.shape
    M, S, N = coarse.shape[1], fine.shape[1], fine.shape[2]
    rows = torch.nn.functional.pad(u.transpose(0, 1), (0, M * S - L)).reshape(H, R * M, S)
    inner = _sum_fine(rows, fine).reshape(H, R, M, N) * coarse.unsqueeze(1)
    if not first:
        return inner.sum(2).transpose(0, 1), None
    b = torch.arange(S, device=u.device, dtype=u.dtype).unsqueeze(-1)
    inner_b = _sum_fine(rows, fine * b).reshape(H, R, M, N) * coarse.unsqueeze(1)
    a = torch.arange(M, device=u.device, dtype=u.dtype).unsqueeze(-1) * S
    return inner.sum(2).transpose(0, 1), (inner_b + a * inner).sum(2).transpose(0, 1)


def _sum_fine(rows: Tensor, fine: Tensor) -> Tensor:
    """Contracts the fine time index: (H, R M, S) with (H, S, N), as one real product."""
    out = torch.bmm(rows, _flat(fine))
    return torch.view_as_complex(out.unflatten(-1, (-1, 2))) if fine.is_complex() else out


class _LogVandermonde(torch.autograd.Function):
    @staticmethod
    def forward(ctx, w: Tensor, z: Tensor, L: int) -> Tensor:
        coarse, fine = power_tables(z, L, w.dtype)
        ctx.save_for_backward(w, coarse, fine)
        ctx.z_dtype = z.dtype
        return _product(w.conj().resolve_conj(), coarse, fine, L)

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        w, coarse, fine = ctx.saved_tensors
        with full_precision(grad):
            m0, m1 = _moments(grad, coarse, fine, ctx.needs_input_grad[1])
            grad_z = None if m1 is None else (w.conj() * m1).sum(0).to(ctx.z_dtype)
        return m0, grad_z, None


class _LogVandermondeTranspose(torch.autograd.Function):
    @staticmethod
    def forward(ctx, u: Tensor, z: Tensor) -> Tensor:
        dtype = torch.promote_types(u.dtype, torch.complex32) if z.is_complex() else u.dtype
        coarse, fine = power_tables(z, u.shape[-1], dtype)
        ctx.save_for_backward(u, coarse, fine)
        ctx.z_dtype = z.dtype
        return _moments(u, coarse, fine, False)[0].conj().resolve_conj()

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor | None, Tensor | None]:
        u, coarse, fine = ctx.saved_tensors
        with full_precision(u):
            grad_u = _product(grad, coarse, fine, u.shape[-1])
            grad_z = None
            if ctx.needs_input_grad[1]:
                grad_z = (_moments(u, coarse, fine, True)[1] * grad).sum(0).to(ctx.z_dtype)
        return grad_u, grad_z
