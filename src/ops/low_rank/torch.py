"""The sequential half of `low_rank_powers`: powers of D + p q on vectors, of a dense X on rows, and both in reverse.

The rest of that file is batched products, and shared; what a form does in its own way is one `Steps`. The one here is plain torch
for any device. Its fine half doubles: k powers give the next k in two batched products,

    A^(k + j) x = D^k A^j x + sum_{i < k} (A^i p) (q D^(k-1-i) A^j x),

and so does the sum over later powers, a prefix sum, in its adjoint: log2(S) launches where a loop has S. The coarse half is a loop
of M products: doubling it would take squares of X, n^3 each, in the precision of C.

Arrays are those of `low_rank_powers`: d (H, n) in (Re, Im) halves, p and q (H, r, n), n = 2 N, S a power of two.
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


def _fine(d: Tensor, p: Tensor, q: Tensor, right: Tensor, left: Tensor) -> None:
    S = right.shape[2]
    for k, D in _doublings(d, S):
        columns, rows = right[:, 1:, :k], left[:, :, S - k :]
        right[:, :, k : 2 * k] = _power(D, columns, rows, right[:, :, :k])
        left[:, :, S - 2 * k : S - k] = _times(D.conj(), rows)


def _fine_adjoint(
    d: Tensor, p: Tensor, q: Tensor, right: Tensor, left: Tensor, grad_right: Tensor, grad_left: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    S = right.shape[2]
    for k, D in _doublings(d, S):
        columns, rows = right[:, 1:, :k], left[:, :, S - k :]
        grad_right[:, :, :-k] += _power(D.conj(), rows, columns, grad_right[:, :, k:])
        grad_left[:, :, k:] += _times(D, grad_left[:, :, :-k])
    return system_gradients(p, q, right, left, grad_right, grad_left)


def _doublings(d: Tensor, S: int) -> list[tuple[int, Tensor]]:
    """Returns (k, d^k) for k = 1, 2, 4, ..., S / 2."""
    return [(1 << i, power) for i, power in enumerate(diagonal_powers(d, S)[:-1])]


def _power(D: Tensor, columns: Tensor, rows: Tensor, x: Tensor) -> Tensor:
    """Returns (D + sum columns rows) x for each vector of x (H, m, K, n); D (H, N); columns, rows (H, r, k, n)."""
    inner = x.flatten(1, 2) @ rows.flatten(1, 2).mT
    return _times(D, x) + (inner @ columns.flatten(1, 2)).view(x.shape)


def _times(D: Tensor, x: Tensor) -> Tensor:
    """Returns D x for x (H, m, K, n) in halves; D (H, N) complex."""
    re, im = x.chunk(2, -1)
    a, b = (part[:, None, None] for part in (D.real, D.imag))
    return torch.cat([a * re - b * im, b * re + a * im], -1)


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


def _coarse(X: Tensor, x: Tensor) -> None:
    for a in range(1, x.shape[2]):
        x[:, :, a] = x[:, :, a - 1] @ X


def _coarse_adjoint(X: Tensor, g: Tensor) -> None:
    for a in range(g.shape[2] - 1, 0, -1):
        g[:, :, a - 1] += g[:, :, a] @ X.mT


TORCH = Steps(_fine, _fine_adjoint, _coarse, _coarse_adjoint)
