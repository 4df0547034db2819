"""The `Steps` of S4's kernel on a GPU: a program per sequence, its state in registers, every power written once.

All four are one recurrence, x_k <- (g_k +) T x_(k-1), forward with the matrix itself from the first power up, backward with its
transpose from the last one down:

    fine      T = D + sum_r p_r q_r, in float64: O(r n) a step, one warp;
    coarse    T = X^T, n x n, in the precision of C: O(n^2) a step, X held in registers.

A step waits for the one before it, so the g_k are loaded a step ahead. Float64 in the fine steps keeps rounding from growing
with L. It costs O(r S n) operations a channel, the float64 product that makes X from these powers 2 r S n^2: on a card whose
float64 runs at 1/64 of float32 that product counts, the steps do not. An X too large for one program steps by batched products.
"""

import triton
import triton.language as tl
from torch import Tensor

from ..triton.launch import launch
from .steps import Steps, system_gradients
from .torch import TORCH

BYTES_A_THREAD = 128  # of X, as long as there are warps to share it
WARPS = 16
LARGEST = 1 << 16  # bytes of an X that one program holds


@triton.jit
def fine_steps(
    d, column, row, x, S, N,
    RANK: tl.constexpr, TRANSPOSED: tl.constexpr, ADD: tl.constexpr, RANKS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """x_k = (x_k +) D x_(k-1) + sum_r column_r (row_r x_(k-1)) on x (H, m, S, 2 N); a program per sequence.

    TRANSPOSED: k runs down, D is conjugated, and the caller exchanges columns and rows. RANKS and BLOCK are powers of two, at least
    RANK (0: D alone) and N.
    """
    h, i, m = tl.program_id(0).to(tl.int64), tl.program_id(1), tl.num_programs(1)
    j, l = tl.arange(0, BLOCK), tl.arange(0, RANKS)[:, None]
    inside = j < N
    re, im = tl.load(d + h * 2 * N + j, inside, 0.0), tl.load(d + h * 2 * N + N + j, inside, 0.0)
    if RANK > 0:
        at, there = (h * RANK + l) * 2 * N + j[None, :], (l < RANK) & inside[None, :]
        column_re, column_im = tl.load(column + at, there, 0.0), tl.load(column + at + N, there, 0.0)
        row_re, row_im = tl.load(row + at, there, 0.0), tl.load(row + at + N, there, 0.0)
    x += (h * m + i) * S * 2 * N + j
    step = 2 * N
    if TRANSPOSED:
        x += (S - 1) * step
        step, im = -step, -im
    u, v = tl.load(x, inside, 0.0), tl.load(x + N, inside, 0.0)
    if ADD:
        next_u, next_v = tl.load(x + step, inside & (S > 1), 0.0), tl.load(x + step + N, inside & (S > 1), 0.0)
    for k in range(1, S):
        x += step
        a, b = re * u - im * v, im * u + re * v
        if ADD:
            a, b, ahead = a + next_u, b + next_v, inside & (k + 1 < S)
            next_u, next_v = tl.load(x + step, ahead, 0.0), tl.load(x + step + N, ahead, 0.0)
        if RANK > 0:
            inner = tl.sum(row_re * u[None, :] + row_im * v[None, :], 1)[:, None]
            a, b = a + tl.sum(column_re * inner, 0), b + tl.sum(column_im * inner, 0)
        tl.store(x, a, inside)
        tl.store(x + N, b, inside)
        u, v = a, b


@triton.jit
def coarse_steps(X, x, M, n, TRANSPOSED: tl.constexpr, BLOCK: tl.constexpr):
    """x_a = x_(a-1) X on x (H, c, M, n), or TRANSPOSED from the last a down x_a = x_a + x_(a+1) X^T; X (H, n, n).

    A program per sequence; BLOCK is a power of two, at least n.
    """
    h, i, c = tl.program_id(0).to(tl.int64), tl.program_id(1), tl.num_programs(1)
    j = tl.arange(0, BLOCK)
    inside = j < n
    both = inside[:, None] & inside[None, :]
    x += (h * c + i) * M * n + j
    step = n
    if TRANSPOSED:
        x += (M - 1) * step
        step = -step
        T = tl.load(X + (h * n + j[None, :]) * n + j[:, None], both, 0.0)
        ahead = tl.load(x + step, inside & (M > 1), 0.0)
    else:
        T = tl.load(X + (h * n + j[:, None]) * n + j[None, :], both, 0.0)
    y = tl.load(x, inside, 0.0)
    for a in range(1, M):
        x += step
        y = tl.sum(y[:, None] * T, 0)
        if TRANSPOSED:
            y += ahead
            ahead = tl.load(x + step, inside & (a + 1 < M), 0.0)
        tl.store(x, y, inside)


def _launch_fine(d: Tensor, column: Tensor, row: Tensor, x: Tensor, rank: int, transposed: bool, add: bool) -> None:
    H, m, S, n = x.shape
    blocks = {"RANKS": triton.next_power_of_2(max(rank, 1)), "BLOCK": triton.next_power_of_2(n // 2)}
    options = {"RANK": rank, "TRANSPOSED": transposed, "ADD": add, **blocks}
    launch(fine_steps, (H, m), d, column, row, x, S, n // 2, **options, num_warps=1)


def _fine(d: Tensor, p: Tensor, q: Tensor, right: Tensor, left: Tensor) -> None:
    _launch_fine(d, p, q, right, p.shape[1], transposed=False, add=False)
    _launch_fine(d, p, q, left, 0, transposed=True, add=False)


def _fine_adjoint(
    d: Tensor, p: Tensor, q: Tensor, right: Tensor, left: Tensor, grad_right: Tensor, grad_left: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    _launch_fine(d, q, p, grad_right, p.shape[1], transposed=True, add=True)
    _launch_fine(d, p, q, grad_left, 0, transposed=False, add=True)
    return system_gradients(p, q, right, left, grad_right, grad_left)


def _launch_coarse(X: Tensor, x: Tensor, transposed: bool) -> None:
    H, c, M, n = x.shape
    BLOCK = triton.next_power_of_2(n)
    size = BLOCK * BLOCK * X.element_size()
    if size > LARGEST:
        return (TORCH.coarse_adjoint if transposed else TORCH.coarse)(X, x)
    warps = min(max(size // (32 * BYTES_A_THREAD), 1), WARPS)
    launch(coarse_steps, (H, c), X, x, M, n, TRANSPOSED=transposed, BLOCK=BLOCK, num_warps=warps)


def _coarse(X: Tensor, x: Tensor) -> None:
    _launch_coarse(X, x, transposed=False)


def _coarse_adjoint(X: Tensor, g: Tensor) -> None:
    _launch_coarse(X, g, transposed=True)


TRITON = Steps(_fine, _fine_adjoint, _coarse, _coarse_adjoint)
