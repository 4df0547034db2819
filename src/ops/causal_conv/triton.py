"""The causal convolution and SiLU of `src.ops.causal_conv` on a GPU: x is read once and y written once, and nothing else is kept.

A lane is a channel, and a program takes several steps of some channels of one sequence. Backward, with slope_t = dloss/dv_t,

    dx_s = sum_k w_k slope_{s+K-1-k},    dw_k = sum_t slope_t x_{t-K+1+k},    dbias = sum_t slope_t,

where dx of s < 0 is the gradient of the state. The slopes of the K - 1 steps behind a program's own are computed a second time
there, so no program waits for another; each has its own row of sums of dw and dbias, which torch adds up in a fixed order.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.autograd.function import once_differentiable

from ..triton.launch import launch

STEPS = 8  # that a program has in registers
BLOCK = 64
PROGRAMS = 512  # of the backward pass, if there are so many groups of steps; more of them mean more rows of sums
LONGEST = 128  # steps of one program of the backward pass


@triton.jit
def _inputs(x, state, b, t, d, inside, L, D, K: tl.constexpr, COUNT: tl.constexpr):
    """x at COUNT steps from t on; before step 0 from the state, behind the last one zero."""
    rows = ()
    for i in tl.static_range(COUNT):
        s = t + i
        now = tl.load(x + (b * L + s) * D + d, inside & (s >= 0) & (s < L), 0.0)
        before = tl.load(state + (b * (K - 1) + s + K - 1) * D + d, inside & (s < 0), 0.0)
        rows = rows + (now + before,)  # noqa: RUF005 - Triton cannot unpack into a tuple
    return rows


@triton.jit
def _vectors(x, d, inside, D, COUNT: tl.constexpr):
    rows = ()
    for k in tl.static_range(COUNT):
        rows = rows + (tl.load(x + k * D + d, inside, 0.0),)  # noqa: RUF005
    return rows


@triton.jit
def _filtered(rows, w, bias, i: tl.constexpr, K: tl.constexpr):
    """v of step i, whose first input is row i."""
    v = bias
    for k in tl.static_range(K):
        v += w[k] * rows[i + k]
    return v


@triton.jit
def _slopes(rows, dy, w, bias, b, t, d, inside, L, D, K: tl.constexpr, COUNT: tl.constexpr):
    """dloss/dv at COUNT steps from t on, zero behind the last one; rows: their inputs."""
    slopes = ()
    for i in tl.static_range(COUNT):
        grad = tl.load(dy + (b * L + t + i) * D + d, inside & (t + i < L), 0.0)
        v = _filtered(rows, w, bias, i, K)
        sigmoid = 1 / (1 + tl.exp(-v))
        slopes = slopes + (grad * (sigmoid * (1 + v * (1 - sigmoid))),)  # noqa: RUF005
    return slopes


@triton.jit
def _spread(slopes, w, i: tl.constexpr, zero, K: tl.constexpr, COUNT: tl.constexpr):
    """The gradient of the input of step i: what all later steps, up to COUNT of them, send back."""
    dx = zero
    for k in tl.static_range(K):
        if i + K - 1 - k >= 0 and i + K - 1 - k < COUNT:
            dx += w[k] * slopes[i + K - 1 - k]
    return dx


@triton.jit
def conv_forward(x, weight, bias, state, y, L, D, segments, K: tl.constexpr, STEPS: tl.constexpr, BLOCK: tl.constexpr):
    """y (b, L, D) of x (b, L, D), weight (K, D), bias (D,) and state (b, K - 1, D), STEPS steps a program."""
    b, t = (tl.program_id(0) // segments).to(tl.int64), tl.program_id(0) % segments * STEPS
    d = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside = d < D
    rows = _inputs(x, state, b, t - (K - 1), d, inside, L, D, K, STEPS + K - 1)
    w, of_v = _vectors(weight, d, inside, D, K), tl.load(bias + d, inside, 0.0)
    for i in tl.static_range(STEPS):
        v = _filtered(rows, w, of_v, i, K)
        tl.store(y + (b * L + t + i) * D + d, v / (1 + tl.exp(-v)), inside & (t + i < L))


@triton.jit
def conv_backward(
    x, weight, bias, state, dy, dx, dstate, sums, L, D, segments, T,
    K: tl.constexpr, STEPS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """dx, dstate, and sums (b S, K + 1, D): dw and, in the last row, dbias of each segment of T steps."""
    job = tl.program_id(0).to(tl.int64)
    b, start = job // segments, tl.program_id(0) % segments * T
    d = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside = d < D
    w, of_v = _vectors(weight, d, inside, D, K), tl.load(bias + d, inside, 0.0)
    zero = tl.zeros([BLOCK], x.dtype.element_ty)
    dbias, dw = zero, ()
    for _ in tl.static_range(K):
        dw = dw + (zero,)  # noqa: RUF005
    for t in range(start, start + T, STEPS):
        rows = _inputs(x, state, b, t - (K - 1), d, inside, L, D, K, STEPS + 2 * (K - 1))
        slopes = _slopes(rows, dy, w, of_v, b, t, d, inside, L, D, K, STEPS + K - 1)
        for i in tl.static_range(STEPS):
            back = _spread(slopes, w, i, zero, K, STEPS + K - 1)
            tl.store(dx + (b * L + t + i) * D + d, back, inside & (t + i < L))
            dbias += slopes[i]
        more = ()
        for k in tl.static_range(K):
            part = zero
            for i in tl.static_range(STEPS):
                part += slopes[i] * rows[i + k]
            more = more + (dw[k] + part,)  # noqa: RUF005
        dw = more
    for k in tl.static_range(K):
        tl.store(sums + (job * (K + 1) + k) * D + d, dw[k], inside)
    tl.store(sums + (job * (K + 1) + K) * D + d, dbias, inside)
    if K > 1 and start == 0:
        rows = _inputs(x, state, b, 1 - K, d, inside, L, D, K, 2 * (K - 1))
        slopes = _slopes(rows, dy, w, of_v, b, 0, d, inside, L, D, K, K - 1)
        for i in tl.static_range(K - 1):
            back = _spread(slopes, w, i - (K - 1), zero, K, K - 1)
            tl.store(dstate + (b * (K - 1) + i) * D + d, back, inside)


class FusedCausalConvSilu(torch.autograd.Function):
    """y of x (b, L, D), weight (K, D), bias (D,), state (b, K - 1, D), all of one real dtype."""

    @staticmethod
    def forward(ctx, x: Tensor, weight: Tensor, bias: Tensor, state: Tensor) -> Tensor:
        tensors = [tensor.contiguous() for tensor in (x, weight, bias, state)]
        ctx.save_for_backward(*tensors)
        y = torch.empty_like(tensors[0])
        b, L, D = x.shape
        segments = triton.cdiv(L, STEPS)
        _launch(conv_forward, b * segments, [*tensors, y], L, D, segments)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx, dy: Tensor) -> tuple[Tensor, ...]:
        x, weight, bias, state = ctx.saved_tensors
        dx, dstate, (T, segments) = torch.empty_like(x), torch.empty_like(state), _segments(x)
        (b, L, D), K = x.shape, len(weight)
        sums = x.new_empty(b * segments, K + 1, D)
        tensors = [x, weight, bias, state, dy.contiguous(), dx, dstate, sums]
        _launch(conv_backward, b * segments, tensors, L, D, segments, T)
        sums = sums.sum(0)
        return dx, sums[:K], sums[K], dstate


def _segments(x: Tensor) -> tuple[int, int]:
    """Returns the steps of a program of the backward pass, a multiple of STEPS, and how many such there are in L."""
    b, L, D = x.shape
    T = triton.cdiv(b * L * triton.cdiv(D, BLOCK), PROGRAMS)
    T = triton.cdiv(min(T, LONGEST), STEPS) * STEPS
    return T, triton.cdiv(L, T)


def _launch(kernel, programs: int, tensors: list[Tensor], L: int, D: int, *lengths: int) -> None:
    grid = (programs, triton.cdiv(D, BLOCK))
    options = {"K": len(tensors[1]), "STEPS": STEPS, "BLOCK": BLOCK}
    launch(kernel, grid, *tensors, L, D, *lengths, **options, num_warps=BLOCK // 32)
