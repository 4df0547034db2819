"""S4's kernel K[t] = C A^t B for A = D + p q, diagonal plus low rank, without eigenvectors, Cauchy kernel or dense squaring.

With t = a S + b, K[a S + b] = (C X^a) (A^b B) and X = A^S. Telescoping A^S against D^S gives X from vectors only,

    A^S = D^S + sum_{j < S} (A^j p) (q D^(S-1-j)),

so the fine side is S steps of O(N) on B, p and q; one matrix product makes X; the coarse side is L / S steps with X, one
channel at a time so that X stays in cache; one matrix product makes K. The backward pass runs the same steps in reverse.

Real coordinates throughout: a half xi of N conjugate pairs is x = (Re xi, Im xi) of length n = 2 N, D x is d xi, and q is
a row of length n. Up to X all is float64, so that rounding does not grow with L; channels go in blocks that fit the cache.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from src.ops.blocks import channel_blocks
from src.ops.low_rank_steps import coarse_adjoint, coarse_steps, fine_adjoint, fine_steps
from src.ops.precision import full_precision
from src.ops.vandermonde import table_lengths

BLOCK_BYTES = 1 << 22  # of one block's tables and matrices


class LowRankSystem(NamedTuple):
    """x -> D x + sum_r p_r (q_r x), with input B; float64 on the CPU, n = 2 N."""

    d: Tensor  # (H, n): Re and Im of the N diagonal entries
    p: Tensor  # (H, r, n)
    q: Tensor  # (H, r, n)
    B: Tensor  # (H, n)


def low_rank_kernel(system: LowRankSystem, C: Tensor, L: int) -> Tensor:
    """Returns K[h, c, t] = C[h, c] A[h]^t B[h], shape (H, c, L), for t = 0..L-1, in the precision of C (H, c, n)."""
    if L < 1:
        raise ValueError(f"L must be at least 1, got {L}")
    with full_precision(C):
        return _LowRankKernel.apply(*system, C, L)


class _LowRankKernel(torch.autograd.Function):
    @staticmethod
    def forward(ctx, d: Tensor, p: Tensor, q: Tensor, B: Tensor, C: Tensor, L: int) -> Tensor:
        inputs = [x.contiguous() for x in (d, p, q, B, C)]
        M, S = table_lengths(L)
        X = C.new_empty(len(C), C.shape[-1], C.shape[-1])
        coarse = C.new_empty(*C.shape[:2], M, C.shape[-1])
        K = C.new_empty(*C.shape[:2], M * S)
        for rows in _blocks(p, S):
            d, p, q, B, C = (x[rows] for x in inputs)
            fine, _, left = _fine(d, p, q, B, S)
            X[rows] = _step_of(fine[:, 1:], left, d, S)
            _coarse(X[rows], C, coarse[rows])
            torch.bmm(coarse[rows].flatten(1, 2), fine[:, 0].to(C.dtype).mT, out=K[rows].view(len(C), -1, S))
        ctx.save_for_backward(*inputs, X, coarse)
        ctx.S = S
        return K[..., :L]

    @staticmethod
    def backward(ctx, grad: Tensor):
        *inputs, X, coarse = ctx.saved_tensors
        grads = [torch.zeros_like(x) for x in inputs]
        M = coarse.shape[2]
        with full_precision(grad):
            for rows in _blocks(inputs[1], ctx.S):
                grad_K = torch.nn.functional.pad(grad[rows], (0, M * ctx.S - grad.shape[-1])).contiguous()
                grad_K = grad_K.view(len(grad_K), -1, ctx.S)
                _backward_block([x[rows] for x in inputs], X[rows], coarse[rows], grad_K, [x[rows] for x in grads])
        return *grads, None


def _backward_block(inputs: list[Tensor], X: Tensor, coarse: Tensor, grad_K: Tensor, grads: list[Tensor]) -> None:
    """Writes the gradients of (d, p, q, B, C) for one block of channels; grad_K (H, c M, S)."""
    d, p, q, B, C = inputs
    S, n = grad_K.shape[-1], C.shape[-1]
    fine, s, left = _fine(d, p, q, B, S)
    grad_fine = torch.empty_like(fine)
    grad_fine[:, 0] = grad_K.mT @ coarse.flatten(1, 2)
    grad_coarse = (grad_K @ fine[:, 0].to(C.dtype)).view_as(coarse)
    coarse_adjoint(X.numpy(), grad_coarse.numpy())
    grad_X = coarse[:, :, :-1].reshape(len(X), -1, n).mT @ grad_coarse[:, :, 1:].reshape(len(X), -1, n)
    pairs = lambda x: x.reshape(len(X), -1, n).to(C.dtype)
    grad_fine[:, 1:] = (pairs(left) @ grad_X.mT).view_as(left)
    grad_left = (pairs(fine[:, 1:]) @ grad_X).view_as(left).to(d.dtype)
    fine_adjoint(*(x.numpy() for x in (d, p, q, fine, s, grad_fine, left, grad_left, *grads[:3])))
    grads[0] += _diagonal_power_grad(d, grad_X, S)
    grads[1] += grad_fine[:, 1:, 0]
    grads[2] += grad_left[:, :, -1]
    grads[3][:] = grad_fine[:, 0, 0]
    grads[4][:] = grad_coarse[:, :, 0]


def _blocks(p: Tensor, S: int) -> list[slice]:
    H, r, n = p.shape
    return channel_blocks(H, 8 * n * (2 * n + 4 * (1 + r) * S), BLOCK_BYTES, p.device)


def _fine(d: Tensor, p: Tensor, q: Tensor, B: Tensor, S: int) -> tuple[Tensor, Tensor, Tensor]:
    """Returns A^k (B, p), (H, 1 + r, S, n); q A^k (B, p), (H, 1 + r, S, r); and q D^(S-1-k), (H, r, S, n)."""
    H, r, n = p.shape
    right, left = d.new_empty(H, 1 + r, S, n), d.new_empty(H, r, S, n)
    right[:, 0, 0], right[:, 1:, 0], left[:, :, -1] = B, p, q
    s = d.new_empty(H, 1 + r, S, r)
    fine_steps(*(x.numpy() for x in (d, p, q, right, s, left)))
    return right, s, left


def _step_of(right: Tensor, left: Tensor, d: Tensor, S: int) -> Tensor:
    """Returns X = A^S (H, n, n) from A^k p and q D^(S-1-k)."""
    X = right.flatten(1, 2).mT @ left.flatten(1, 2)
    N = X.shape[-1] // 2
    power = _diagonal_powers(d, S)[-1]
    for i, j, part in ((0, 0, power.real), (N, N, power.real), (0, N, -power.imag), (N, 0, power.imag)):
        X[:, i : i + N, j : j + N].diagonal(dim1=-2, dim2=-1).add_(part)
    return X


def _diagonal_powers(d: Tensor, S: int) -> list[Tensor]:
    """Returns d^1, d^2, d^4, ..., d^S, complex (H, N); S a power of two."""
    powers = [torch.complex(*(x.contiguous() for x in d.chunk(2, -1)))]
    while len(powers) < S.bit_length():
        powers.append(powers[-1] * powers[-1])
    return powers


def _diagonal_power_grad(d: Tensor, grad_X: Tensor, S: int) -> Tensor:
    """Returns the gradient of d (H, n) through D^S, whose derivative is S d^(S-1)."""
    N = grad_X.shape[-1] // 2
    part = lambda i, j: grad_X[:, i : i + N, j : j + N].diagonal(dim1=-2, dim2=-1).to(d.dtype)
    grad = torch.complex(part(0, 0) + part(N, N), part(N, 0) - part(0, N)) * S
    for power in _diagonal_powers(d, S)[:-1]:
        grad = grad * power.conj()
    return torch.cat([grad.real, grad.imag], -1)


def _coarse(X: Tensor, C: Tensor, out: Tensor) -> None:
    """Fills out (H, c, M, n) with C X^a."""
    out[:, :, 0] = C
    coarse_steps(X.numpy(), out.numpy())
