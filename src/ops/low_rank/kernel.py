"""What all fast forms of S4's kernel share: tables of powers, the products between them, and their adjoints, in blocks of channels."""

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from ..blocks import channel_blocks, table_lengths
from ..precision import full_precision
from .steps import Steps, diagonal_powers

BLOCK_BYTES = 1 << 22  # of one block's tables and matrices


class LowRankKernel(torch.autograd.Function):
    """(d, p, q, B) of a system and C to K (H, c, L); between the directions only X = A^S and the coarse powers are kept."""

    @staticmethod
    def forward(ctx, d: Tensor, p: Tensor, q: Tensor, B: Tensor, C: Tensor, L: int, steps: Steps) -> Tensor:
        inputs = [x.contiguous() for x in (d, p, q, B, C)]
        M, S = table_lengths(L)
        X = C.new_empty(len(C), C.shape[-1], C.shape[-1])
        coarse = C.new_empty(*C.shape[:2], M, C.shape[-1])
        K = C.new_empty(*C.shape[:2], M * S)
        for rows in _blocks(p, S):
            d, p, q, B, C = (x[rows] for x in inputs)
            right, left = _fine(d, p, q, B, S, steps)
            X[rows] = _step_of(right[:, 1:], left, d, S)
            coarse[rows, :, 0] = C
            steps.coarse(X[rows], coarse[rows])
            torch.bmm(coarse[rows].flatten(1, 2), right[:, 0].to(C.dtype).mT, out=K[rows].view(len(C), -1, S))
        ctx.save_for_backward(*inputs, X, coarse)
        ctx.S, ctx.steps = S, steps
        return K[..., :L]

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor):
        *inputs, X, coarse = ctx.saved_tensors
        grads = [torch.empty_like(x) for x in inputs]
        M = coarse.shape[2]
        with full_precision(grad):
            for rows in _blocks(inputs[1], ctx.S):
                grad_K = torch.nn.functional.pad(grad[rows], (0, M * ctx.S - grad.shape[-1])).contiguous()
                grad_K = grad_K.view(len(grad_K), -1, ctx.S)
                block = _backward_block([x[rows] for x in inputs], X[rows], coarse[rows], grad_K, ctx.steps)
                for whole, part in zip(grads, block, strict=True):
                    whole[rows] = part
        return *grads, None, None


def _backward_block(inputs: list[Tensor], X: Tensor, coarse: Tensor, grad_K: Tensor, steps: Steps) -> list[Tensor]:
    """Returns the gradients of (d, p, q, B, C) for one block of channels; grad_K (H, c M, S)."""
    d, p, q, B, C = inputs
    S, n = grad_K.shape[-1], C.shape[-1]
    right, left = _fine(d, p, q, B, S, steps)
    grad_right = torch.empty_like(right)
    grad_right[:, 0] = grad_K.mT @ coarse.flatten(1, 2)
    grad_coarse = (grad_K @ right[:, 0].to(C.dtype)).view_as(coarse)
    steps.coarse_adjoint(X, grad_coarse)
    grad_X = coarse[:, :, :-1].reshape(len(X), -1, n).mT @ grad_coarse[:, :, 1:].reshape(len(X), -1, n)
    pairs = lambda x: x.reshape(len(X), -1, n).to(C.dtype)
    grad_right[:, 1:] = (pairs(left) @ grad_X.mT).view_as(left)
    grad_left = (pairs(right[:, 1:]) @ grad_X).view_as(left).to(d.dtype)
    grad_d, grad_p, grad_q = steps.fine_adjoint(d, p, q, right, left, grad_right, grad_left)
    grad_d += _diagonal_power_grad(d, grad_X, S)
    grad_p += grad_right[:, 1:, 0]
    grad_q += grad_left[:, :, -1]
    return [grad_d, grad_p, grad_q, grad_right[:, 0, 0], grad_coarse[:, :, 0]]


def _blocks(p: Tensor, S: int) -> list[slice]:
    H, r, n = p.shape
    return channel_blocks(H, 8 * n * (2 * n + 4 * (1 + r) * S), BLOCK_BYTES, p.device)


def _fine(d: Tensor, p: Tensor, q: Tensor, B: Tensor, S: int, steps: Steps) -> tuple[Tensor, Tensor]:
    """Returns A^k (B, p), (H, 1 + r, S, n), and q D^(S-1-k), (H, r, S, n)."""
    H, r, n = p.shape
    right, left = d.new_empty(H, 1 + r, S, n), d.new_empty(H, r, S, n)
    right[:, 0, 0], right[:, 1:, 0], left[:, :, -1] = B, p, q
    steps.fine(d, p, q, right, left)
    return right, left


def _step_of(right: Tensor, left: Tensor, d: Tensor, S: int) -> Tensor:
    """Returns X = A^S (H, n, n) from A^k p and q D^(S-1-k)."""
    X = right.flatten(1, 2).mT @ left.flatten(1, 2)
    N = X.shape[-1] // 2
    power = diagonal_powers(d, S)[-1]
    for i, j, part in ((0, 0, power.real), (N, N, power.real), (0, N, -power.imag), (N, 0, power.imag)):
        X[:, i : i + N, j : j + N].diagonal(dim1=-2, dim2=-1).add_(part)
    return X


def _diagonal_power_grad(d: Tensor, grad_X: Tensor, S: int) -> Tensor:
    """Returns the gradient of d (H, n) through D^S, whose derivative is S d^(S-1)."""
    N = grad_X.shape[-1] // 2
    part = lambda i, j: grad_X[:, i : i + N, j : j + N].diagonal(dim1=-2, dim2=-1).to(d.dtype)
    grad = torch.complex(part(0, 0) + part(N, N), part(N, 0) - part(0, N)) * S
    for power in diagonal_powers(d, S)[:-1]:
        grad = grad * power.conj()
    return torch.cat([grad.real, grad.imag], -1)
