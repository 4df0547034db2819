"""Fused sums of exponentials K[t] = Re sum_n w_n exp(z_n t) and their transposes: the powers never leave the chip.

With t = a S + b the sum of a channel is a product of two small tables, K[aS + b] = Re sum_n (w_n exp(z_n a S)) exp(z_n b). A program makes
the rows and columns that it needs, a few states at a time, multiplies them and writes its tile of K once. The transposes contract a tile
of u with the same tables,

    m_n = sum_t u_t exp(z_n t),        f_n = sum_t t u_t exp(z_n t),

and every program writes sums of its own, which torch adds in a fixed order. With u = dK the gradients of K are dw = conj(m) and
dz = conj(w f); that of m in z is conj(v f) with v = conj(dm).

Phases are fractions of a turn in 64 bits (`elementary`), so that neither |exp(z)| = 1 nor a long or fast oscillation costs digits.
Complex numbers are pairs (x, y) of real ones; over the reals y is never read.
"""

import math

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.autograd.function import once_differentiable

from ..blocks import table_lengths
from ..precision import field_of
from ..triton.elementary import _cis_of_turns, _turns
from ..triton.launch import launch
from ..triton.pairs import _load, _store, _times, numbers

_LOG2_E = tl.constexpr(math.log2(math.e))
# the most rows and columns of a tile: what registers hold without spilling
_SIDES = {torch.float32: 64, torch.float64: 16}
_DEPTH = 16  # states, or steps, at a time: the least depth of a product


@triton.jit
def _poles(z, index, mask, COMPLEX: tl.constexpr):
    """log2 |exp(z)| and the angle of exp(z), in 2^-64 turns."""
    x, y = _load(z, index, mask, COMPLEX)
    if COMPLEX:
        return (x + (y - y)) * _LOG2_E, _turns(y)  # y - y: an angle cannot hold that y is nan or infinite
    else:
        return x * _LOG2_E, index


@triton.jit
def _powers(decay, angle, t, dtype: tl.constexpr, COMPLEX: tl.constexpr):
    """exp(z t), t broadcast against the states."""
    size = tl.exp2(decay.to(dtype) * t.to(dtype))
    if COMPLEX:
        x, y = _cis_of_turns(angle * t.to(tl.int64), dtype)
        return size * x, size * y
    else:
        return size, size


@triton.jit
def sums(
    w, z, K, R, H, N, L, A, COMPLEX: tl.constexpr, S: tl.constexpr, ROWS: tl.constexpr, STATES: tl.constexpr
):  # fmt: skip
    """K (R, H, L) of w (R, H, N) and z (H, N). A program: ROWS of the R A rows (r, a) of one channel, all S columns."""
    h = tl.program_id(1)
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    r, a, b = (row // A).to(tl.int64), row % A, tl.arange(0, S)
    dtype: tl.constexpr = K.dtype.element_ty
    total = tl.zeros((ROWS, S), dtype)
    for first in range(0, N, STATES):
        n = first + tl.arange(0, STATES)
        decay, angle = _poles(z, h * N + n, n < N, COMPLEX)
        mask = (r < R)[:, None] & (n < N)[None, :]
        wx, wy = _load(w, ((r * H + h) * N)[:, None] + n[None, :], mask, COMPLEX)
        x, y = _powers(decay[None, :], angle[None, :], (a * S)[:, None], dtype, COMPLEX)
        x, y = _times(wx, wy, x, y, COMPLEX)
        fx, fy = _powers(decay[:, None], angle[:, None], b[None, :], dtype, COMPLEX)
        total = tl.dot(x, fx, total, input_precision="ieee", out_dtype=dtype)
        if COMPLEX:
            total = tl.dot(-y, fy, total, input_precision="ieee", out_dtype=dtype)
    t = (a * S)[:, None] + b[None, :]
    tl.store(K + ((r * H + h) * L)[:, None] + t, total, (r < R)[:, None] & (t < L))


@triton.jit
def _contract(u, fx, fy, p, q, COMPLEX: tl.constexpr):
    """Adds sum_b u[a, b] fine[b, n] to p + i q."""
    p = tl.dot(u, fx, p, input_precision="ieee", out_dtype=p.dtype)
    if COMPLEX:
        q = tl.dot(u, fy, q, input_precision="ieee", out_dtype=q.dtype)
    return p, q


@triton.jit
def moments(
    u, v, m, vf, z, H, N, L,
    COMPLEX: tl.constexpr, S: tl.constexpr, ROWS: tl.constexpr, STATES: tl.constexpr, DEPTH: tl.constexpr,
):  # fmt: skip
    """What ROWS S steps of u (R, H, L) add to m and v f, (blocks, R, H, N), each unless it is None; conjugates with a v."""
    SIGN: tl.constexpr = 1.0 if v is None else -1.0  # of the imaginary parts
    block, h, r = tl.program_id(0), tl.program_id(1), tl.program_id(2).to(tl.int64)
    start = (block * ROWS + tl.arange(0, ROWS)) * S
    dtype: tl.constexpr = u.dtype.element_ty
    for first in range(0, N, STATES):
        n = first + tl.arange(0, STATES)
        mask = n < N
        decay, angle = _poles(z, h * N + n, mask, COMPLEX)
        p = tl.zeros((ROWS, STATES), dtype)
        q, p1, q1 = p, p, p
        for done in tl.range(0, S, DEPTH, loop_unroll_factor=1):
            b = done + tl.arange(0, DEPTH)
            t = start[:, None] + b[None, :]
            tile = tl.load(u + (r * H + h) * L + t, t < L, 0.0)
            fx, fy = _powers(decay[None, :], angle[None, :], b[:, None], dtype, COMPLEX)
            p, q = _contract(tile, fx, fy, p, q, COMPLEX)
            if v is not None:
                b = b[:, None].to(dtype)
                p1, q1 = _contract(tile, b * fx, b * fy, p1, q1, COMPLEX)
        x, y = _powers(decay[None, :], angle[None, :], start[:, None], dtype, COMPLEX)
        index = (r * H + h) * N + n
        part = index + block.to(tl.int64) * tl.num_programs(2) * H * N
        if m is not None:
            sx, sy = _times(x, y, p, q, COMPLEX)
            _store(m, part, tl.sum(sx, 0), SIGN * tl.sum(sy, 0), mask, COMPLEX)
        if v is not None:
            t0 = start[:, None].to(dtype)
            sx, sy = _times(x, y, t0 * p + p1, t0 * q + q1, COMPLEX)
            vx, vy = _load(v, index, mask, COMPLEX)
            sx, sy = _times(vx, vy, tl.sum(sx, 0), tl.sum(sy, 0), COMPLEX)
            _store(vf, part, sx, SIGN * sy, mask, COMPLEX)


def _poles_of(z: Tensor) -> Tensor:
    """Returns z in float64: what an angle needs."""
    return numbers(z.to(field_of(z, torch.float64)))


def _tile(L: int, copies: int, dtype: torch.dtype) -> tuple[int, dict[str, int]]:
    """Returns A and the tile of a program among `copies` A rows: A S >= L, sides powers of two that a product can have."""
    S = min(max(table_lengths(L)[1], 16), _SIDES[dtype])
    A = triton.cdiv(L, S)
    rows = min(max(triton.next_power_of_2(copies * A), 16), _SIDES[dtype])
    return A, {"S": S, "ROWS": rows, "STATES": _DEPTH, "num_warps": rows // 8}


def _sums(w: Tensor, z: Tensor, L: int) -> Tensor:
    """Returns Re sum_n w_n exp(z_n t), (R, H, L); w (R, H, N)."""
    R, H, N = w.shape
    K = torch.empty(R, H, L, dtype=w.dtype.to_real(), device=w.device)
    A, tile = _tile(L, R, K.dtype)
    grid = (triton.cdiv(R * A, tile["ROWS"]), H)
    launch(sums, grid, numbers(w), _poles_of(z), K, R, H, N, L, A, COMPLEX=w.is_complex(), **tile)
    return K


def _moments(u: Tensor, z: Tensor, v: Tensor | None, zeroth: bool) -> tuple[Tensor | None, Tensor | None]:
    """Returns m (R, H, N) of u (R, H, L) if `zeroth`, and the sum of v f over R, (H, N) in float64, if there is a v (R, H, N).

    With a v both are gradients, that is, conjugated.
    """
    (R, H, L), N = u.shape, z.shape[1]
    A, tile = _tile(L, 1, u.dtype)
    blocks = triton.cdiv(A, tile["ROWS"])
    m, vf = (
        torch.empty(blocks, R, H, N, dtype=field_of(z, u.dtype), device=u.device) if wanted else None
        for wanted in (zeroth, v is not None)
    )
    arguments = [x if x is None else numbers(x) for x in (u, v, m, vf)]
    launch(moments, (blocks, H, R), *arguments, _poles_of(z), H, N, L, COMPLEX=z.is_complex(), DEPTH=_DEPTH, **tile)
    if zeroth:
        m = m.sum(0) if blocks > 1 else m[0]
    return m, vf if v is None else vf.sum((0, 1), dtype=field_of(z, torch.float64))


class _LogVandermonde(torch.autograd.Function):
    @staticmethod
    def forward(ctx, w: Tensor, z: Tensor, L: int) -> Tensor:
        ctx.save_for_backward(w, z)
        return _sums(w, z, L)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor) -> tuple[Tensor, Tensor, None]:
        w, z = ctx.saved_tensors
        grad_w, grad_z = _moments(grad, z, w, zeroth=True)
        return grad_w, grad_z.to(z.dtype), None


class _LogVandermondeTranspose(torch.autograd.Function):
    @staticmethod
    def forward(ctx, u: Tensor, z: Tensor) -> Tensor:
        ctx.save_for_backward(u, z)
        return _moments(u, z, None, zeroth=True)[0]

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor) -> tuple[Tensor, Tensor]:
        u, z = ctx.saved_tensors
        v = grad.conj().resolve_conj()
        return _sums(v, z, u.shape[-1]), _moments(u, z, v, zeroth=False)[1].to(z.dtype)


def log_vandermonde(w: Tensor, z: Tensor, L: int) -> Tensor:
    """Returns K (R, H, L) of w (R, H, N), float32 or float64 or a complex of them, and z (H, N) of the same field."""
    return _LogVandermonde.apply(w, z, L)


def log_vandermonde_transpose(u: Tensor, z: Tensor) -> Tensor:
    """Returns m (R, H, N) of u (R, H, L), float32 or float64, and z (H, N)."""
    return _LogVandermondeTranspose.apply(u, z)
