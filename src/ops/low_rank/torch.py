"""The `Steps` of S4's kernel in plain torch, for any device. The fine half doubles: k powers give the next k in two batched products,

    A^(k + j) x = D^k A^j x + sum_{i < k} (A^i p) (q D^(k-1-i) A^j x),

and so does the sum over later powers, a prefix sum, in its adjoint: log2(S) launches where a loop has S. The coarse half is a loop
of M products: doubling it would take squares of X, n^3 each, in the precision of C.
"""

import torch
from torch import Tensor

from .steps import Steps, diagonal_powers, system_gradients


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


def _coarse(X: Tensor, x: Tensor) -> None:
    for a in range(1, x.shape[2]):
        x[:, :, a] = x[:, :, a - 1] @ X


def _coarse_adjoint(X: Tensor, g: Tensor) -> None:
    for a in range(g.shape[2] - 1, 0, -1):
        g[:, :, a - 1] += g[:, :, a] @ X.mT


TORCH = Steps(_fine, _fine_adjoint, _coarse, _coarse_adjoint)
