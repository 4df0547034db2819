"""The linear recurrence of `src.ops.scan` on a GPU: a lane for each state of each row, time cut into segments that run at once.

What a segment makes of the state that enters it is h -> p h + e, where p is the product of its a and e its last state when it
starts from zero. So e and p come first, for all segments at once; the states that enter are again a scan, over segments; and
with them all segments run at once. The adjoint carries c_t = conj(a_t) g_t backwards, and c -> conj(p) c + e in the same way:

    g_t = dh_t + c_{t+1},    db_t = g_t,    da_t = g_t conj(h_{t-1}),    dh0 = c_1.

Reading b twice is the price, so time is cut only where there are too few lanes to keep a large card's memory busy. The cut depends
on the shapes alone: results are the same on every card. Each program owns what it writes, and a constant a gets one sum from each.

A step waits for the one before it, but its inputs do not: UNROLL steps are loaded before the first of them is taken. They are
as many as registers allow: with more, the compiler puts loads off until after the first steps, and memory waits.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from ..triton.launch import launch
from ..triton.pairs import _load_wide, _store_wide, _times, numbers

# more lanes than that need no segments: 16 warps on each of 128 processors, 8 loads in flight from each
LANES = 1 << 16
SHORTEST = 64  # steps of a segment
UNROLL = 8  # steps whose inputs are loaded at once, half as many where a step has more of them and in double precision
BLOCK = 64


@triton.jit
def _load_steps(x, at, stride, k, direction, L, inside, UNROLL: tl.constexpr, COMPLEX: tl.constexpr):
    """UNROLL steps from k on, zero where there is no such step; at: place of the first, stride: to the next."""
    res, ims = (), ()
    for i in tl.static_range(UNROLL):
        step = k + i * direction
        re, im = _load_wide(x, at + i * stride, inside & (step >= 0) & (step < L), COMPLEX)
        res, ims = res + (re,), ims + (im,)  # noqa: RUF005 - Triton cannot unpack into a tuple
    return res, ims


@triton.jit
def _lanes(lanes, N, PER_ROW: tl.constexpr, BLOCK: tl.constexpr):
    """Row and state of each lane, the row of a that it reads, and whether there is such a lane."""
    lane = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    r = lane // N
    return r, lane % N, r if PER_ROW else r * 0, lane < lanes


@triton.jit
def segment_ends(
    a, x, ends, products, lanes, L, N, T,
    PER_ROW: tl.constexpr, CONSTANT: tl.constexpr, ADJOINT: tl.constexpr, REVERSE: tl.constexpr, COMPLEX: tl.constexpr,
    UNROLL: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """ends (R, S - 1, N) and products (1 or R, 1 or S - 1, N) of all segments of T steps but the last; ADJOINT: but the first.

    a: (1 or R, 1 or L, N), and x: (R, L, N) is b, or dh if ADJOINT.
    """
    r, n, ra, inside = _lanes(lanes, N, PER_ROW, BLOCK)
    j = tl.program_id(1)
    k, direction = j * T, 1
    if ADJOINT:
        k, direction = (j + 1) * T + T - 1, -1
    t, stride = k.to(tl.int64), direction * tl.cast(N, tl.int64)
    if REVERSE:
        t, stride = L - 1 - t, -stride
    at, at_a = (r * L + t) * N + n, (ra * L + t) * N + n
    hr = tl.zeros([BLOCK], x.dtype.element_ty)
    hi, pr, pi = hr, hr + 1, hr
    if CONSTANT:
        ar, ai = _load_wide(a, ra * N + n, inside, COMPLEX)
        if ADJOINT:
            ai = -ai
    for _ in range(0, T, UNROLL):
        xr, xi = _load_steps(x, at, stride, k, direction, L, inside, UNROLL, COMPLEX)
        if not CONSTANT:
            all_ar, all_ai = _load_steps(a, at_a, stride, k, direction, L, inside, UNROLL, COMPLEX)
        for i in tl.static_range(UNROLL):
            if not CONSTANT:
                ar, ai = all_ar[i], all_ai[i]
                if ADJOINT:
                    ai = -ai
            if ADJOINT:
                hr, hi = _times(ar, ai, hr + xr[i], hi + xi[i], COMPLEX)
            else:
                hr, hi = _times(ar, ai, hr, hi, COMPLEX)
                hr, hi = hr + xr[i], hi + xi[i]
            pr, pi = _times(ar, ai, pr, pi, COMPLEX)
        at, at_a, k = at + UNROLL * stride, at_a + UNROLL * stride, k + UNROLL * direction
    others = tl.num_programs(1)
    _store_wide(ends, (r * others + j) * N + n, hr, hi, inside, COMPLEX)
    first = inside & (r == ra)
    if CONSTANT:
        _store_wide(products, ra * N + n, pr, pi, first & (j == 0), COMPLEX)
    else:
        _store_wide(products, (ra * others + j) * N + n, pr, pi, first, COMPLEX)


@triton.jit
def segment_states(
    a, b, entering, h, lanes, L, N, T,
    PER_ROW: tl.constexpr, CONSTANT: tl.constexpr, REVERSE: tl.constexpr, COMPLEX: tl.constexpr,
    UNROLL: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """h (R, L, N) from the states that enter each segment of T steps, (R, S, N)."""
    r, n, ra, inside = _lanes(lanes, N, PER_ROW, BLOCK)
    segment = tl.program_id(1)
    k = segment * T
    t, stride = k.to(tl.int64), tl.cast(N, tl.int64)
    if REVERSE:
        t, stride = L - 1 - t, -stride
    at, at_a = (r * L + t) * N + n, (ra * L + t) * N + n
    hr, hi = _load_wide(entering, (r * tl.num_programs(1) + segment) * N + n, inside, COMPLEX)
    if CONSTANT:
        ar, ai = _load_wide(a, ra * N + n, inside, COMPLEX)
    for _ in range(0, T, UNROLL):
        br, bi = _load_steps(b, at, stride, k, 1, L, inside, UNROLL, COMPLEX)
        if not CONSTANT:
            all_ar, all_ai = _load_steps(a, at_a, stride, k, 1, L, inside, UNROLL, COMPLEX)
        for i in tl.static_range(UNROLL):
            if not CONSTANT:
                ar, ai = all_ar[i], all_ai[i]
            hr, hi = _times(ar, ai, hr, hi, COMPLEX)
            hr, hi = hr + br[i], hi + bi[i]
            _store_wide(h, at + i * stride, hr, hi, inside & (k + i < L), COMPLEX)
        at, at_a, k = at + UNROLL * stride, at_a + UNROLL * stride, k + UNROLL


@triton.jit
def segment_adjoints(
    a, h0, h, dh, entering, da, db, dh0, lanes, L, N, T,
    PER_ROW: tl.constexpr, CONSTANT: tl.constexpr, REVERSE: tl.constexpr, COMPLEX: tl.constexpr,
    UNROLL: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """db (R, L, N), dh0 (R, N), and da (R, L, N), or its sum over each segment (R, S, N) if a is CONSTANT.

    entering: (R, S, N), the c that enters each segment at its end. The sum over a segment is made of sums over UNROLL steps.
    """
    r, n, ra, inside = _lanes(lanes, N, PER_ROW, BLOCK)
    segment = tl.program_id(1)
    k = segment * T + T - 1
    t, stride = k.to(tl.int64), -tl.cast(N, tl.int64)
    if REVERSE:
        t, stride = L - 1 - t, -stride
    at, at_a = (r * L + t) * N + n, (ra * L + t) * N + n
    of_segment = (r * tl.num_programs(1) + segment) * N + n
    cr, ci = _load_wide(entering, of_segment, inside, COMPLEX)
    gr, gi, sum_r, sum_i = cr, ci, tl.zeros_like(cr), tl.zeros_like(cr)
    if CONSTANT:
        ar, ai = _load_wide(a, ra * N + n, inside, COMPLEX)
    for _ in range(0, T, UNROLL):
        dr, di = _load_steps(dh, at, stride, k, -1, L, inside, UNROLL, COMPLEX)
        if not CONSTANT:
            all_ar, all_ai = _load_steps(a, at_a, stride, k, -1, L, inside, UNROLL, COMPLEX)
        before_r, before_i = _load_steps(h, at + stride, stride, k - 1, -1, L, inside, UNROLL, COMPLEX)
        part_r, part_i = tl.zeros_like(cr), tl.zeros_like(cr)
        for i in tl.static_range(UNROLL):
            there = inside & (k - i < L)
            if not CONSTANT:
                ar, ai = all_ar[i], all_ai[i]
            gr, gi = dr[i] + cr, di[i] + ci
            _store_wide(db, at + i * stride, gr, gi, there, COMPLEX)
            qr, qi = _times(before_r[i], -before_i[i], gr, gi, COMPLEX)
            if CONSTANT:
                part_r, part_i = part_r + qr, part_i + qi
            else:
                _store_wide(da, at + i * stride, qr, qi, there & (k - i > 0), COMPLEX)
            cr, ci = _times(ar, -ai, gr, gi, COMPLEX)
        sum_r, sum_i = sum_r + part_r, sum_i + part_i
        at, at_a, k = at + UNROLL * stride, at_a + UNROLL * stride, k - UNROLL
    first = inside & (segment == 0)
    _store_wide(dh0, r * N + n, cr, ci, first, COMPLEX)
    before_r, before_i = _load_wide(h0, r * N + n, first, COMPLEX)
    qr, qi = _times(before_r, -before_i, gr, gi, COMPLEX)
    if CONSTANT:
        _store_wide(da, of_segment, sum_r + qr, sum_i + qi, inside, COMPLEX)
    else:
        _store_wide(da, at - stride, qr, qi, first, COMPLEX)


def forward(a: Tensor, b: Tensor, h0: Tensor, reverse: bool) -> Tensor:
    """Returns h (R, L, N); contiguous a: (1 or R, 1 or L, N), b: (R, L, N), h0: (R, N)."""
    h, (T, S) = torch.empty_like(b), _segments(b)
    entering = h0.unsqueeze(1)
    if S > 1:
        ends, products = _ends(a, b, T, S, adjoint=False, reverse=reverse)
        entering = torch.cat([entering, forward(products, ends, h0, False)], 1)
    _launch(segment_states, S, a, b, (a, b, entering, h), T, REVERSE=reverse)
    return h


def backward(a: Tensor, h0: Tensor, h: Tensor, dh: Tensor, reverse: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Returns da (R, 1 or L, N), db (R, L, N) and dh0 (R, N)."""
    (T, S), constant = _segments(dh), a.shape[1] == 1
    entering = torch.zeros_like(h0).unsqueeze(1)
    if S > 1:
        ends, products = _ends(a, dh, T, S, adjoint=True, reverse=reverse)
        entering = torch.cat([forward(products, ends, entering[:, 0], True), entering], 1)
    da = h.new_empty(len(h), S, h.shape[2]) if constant else torch.empty_like(h)
    db, dh0 = torch.empty_like(h), torch.empty_like(h0)
    _launch(segment_adjoints, S, a, dh, (a, h0, h, dh, entering, da, db, dh0), T, REVERSE=reverse)
    return da.sum(1, keepdim=True) if constant else da, db, dh0


def _segments(x: Tensor) -> tuple[int, int]:
    """Returns the length of a segment, a multiple of UNROLL, and how many there are of them; x: (R, L, N)."""
    R, L, N = x.shape
    S = min(max(1, LANES // max(1, R * N)), triton.cdiv(L, SHORTEST))
    T = triton.cdiv(triton.cdiv(L, S), UNROLL) * UNROLL
    return T, triton.cdiv(L, T)


def _ends(a: Tensor, x: Tensor, T: int, S: int, adjoint: bool, reverse: bool) -> tuple[Tensor, Tensor]:
    ends = x.new_empty(len(x), S - 1, x.shape[2])
    products = a.new_empty(len(a), 1 if a.shape[1] == 1 else S - 1, a.shape[2])
    _launch(segment_ends, S - 1, a, x, (a, x, ends, products), T, ADJOINT=adjoint, REVERSE=reverse)
    return ends, products


def _launch(kernel, programs: int, a: Tensor, x: Tensor, tensors: tuple[Tensor, ...], T: int, **options: bool) -> None:
    R, L, N = x.shape
    few_inputs = kernel is segment_states or (kernel is segment_ends and not x.is_complex())
    planes = [numbers(tensor) for tensor in tensors]
    unroll = UNROLL // (1 if few_inputs else 2) // (planes[0].element_size() // 4)
    options |= {"PER_ROW": len(a) > 1, "CONSTANT": a.shape[1] == 1, "COMPLEX": x.is_complex(), "UNROLL": unroll}
    grid = (triton.cdiv(R * N, BLOCK), programs)
    launch(kernel, grid, *planes, R * N, L, N, T, **options, BLOCK=BLOCK, num_warps=BLOCK // 32)
