"""The sequential half of S4's kernel: powers of D + p q on vectors, of a dense X on rows, and both in reverse.

The rest of the kernel is batched products, and shared; what a form does in its own way is one `Steps`. Arrays are those of `operation`:
d (H, n) in (Re, Im) halves, p and q (H, r, n), n = 2 N, S a power of two.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor


class Steps(NamedTuple):
    """Four functions that work in place; A = D + sum_r p_r q_r.

    Attributes:
        fine: (d, p, q, right, left) fills right (H, m, S, n) with A^k of its k = 0, and left (H, r, S, n) with q D^(S-1-k).
        fine_adjoint: (d, p, q, right, left, grad_right, grad_left), the first five as `fine` left them, adds A^T grad_right_(k+1)
            to each grad_right_k and D grad_left_(k-1) to each grad_left_k, in the order that sums over all later steps, and
            returns the gradients of d, p and q through the steps.
        coarse: (X, x) fills x (H, c, M, n) with x_0 X^a; X (H, n, n).
        coarse_adjoint: (X, g) adds g_(a+1) X^T to each g_a (H, c, M, n), from the last one down.
    """

    fine: Callable[[Tensor, Tensor, Tensor, Tensor, Tensor], None]
    fine_adjoint: Callable[[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor], tuple[Tensor, Tensor, Tensor]]
    coarse: Callable[[Tensor, Tensor], None]
    coarse_adjoint: Callable[[Tensor, Tensor], None]


def diagonal_powers(d: Tensor, S: int) -> list[Tensor]:
    """Returns d^1, d^2, d^4, ..., d^S, complex (H, N); S a power of two."""
    powers = [torch.complex(*(x.contiguous() for x in d.chunk(2, -1)))]
    while len(powers) < S.bit_length():
        powers.append(powers[-1] * powers[-1])
    return powers


def system_gradients(
    p: Tensor, q: Tensor, right: Tensor, left: Tensor, grad_right: Tensor, grad_left: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Returns the gradients of d, p and q through all steps x_(k+1) = D x_k + sum_r p_r (q_r x_k) and y_(k-1) = y_k D."""
    x, g = right[:, :, :-1].flatten(1, 2), grad_right[:, :, 1:].flatten(1, 2)
    grad_p, grad_q = (x @ q.mT).mT @ g, (g @ p.mT).mT @ x
    y, grad_y = left[:, :, 1:].flatten(1, 2), grad_left[:, :, :-1].flatten(1, 2)
    return _conjugate_product(g, x) + _conjugate_product(y, grad_y), grad_p, grad_q


def _conjugate_product(x: Tensor, y: Tensor) -> Tensor:
    """Returns the sum of x conj(y) over the rows of (H, rows, n) in halves, (H, n)."""
    (a, b), (u, v) = (z.chunk(2, -1) for z in (x, y))
    return torch.cat([(a * u + b * v).sum(1), (b * u - a * v).sum(1)], -1)
