"""The fused selective scan, forward.

    w_t = softplus(dt_t + bias),   h_t = exp(w_t A) h_{t-1} + w_t x_t B_t,   out_t = (Re(sum_n C_tn h_tn) + D x_t) silu(z_t)

A program walks through one segment of time with its states in registers; what a step reads is loaded one step ahead. Where sequences and
channels are too few to fill a card, time is cut into segments that run side by side: `ends` gives each segment's final state from zero
and the product of its decays, and `forward` enters its segment by h <- decay h + end for each one before it. Nothing is divided.
`src.ops.selective_scan.triton_parts` says how the tile of a program lies.
"""

import triton
import triton.language as tl

from .triton_parts import (
    _add,
    _channel_row,
    _constant,
    _decay,
    _load,
    _over_states,
    _product,
    _program,
    _real_product,
    _scaled,
    _sigmoid,
    _softplus,
    _state_row,
    _step_row,
    _store,
    _tile,
)

_SIZES = ["L", "segments", "length", "chunks", "batch"]  # one binary for all of them


@triton.jit
def _step_size(dt, bias):
    if bias is None:
        return dt
    else:
        return _softplus(dt + bias)


@triton.jit(do_not_specialize=_SIZES)
def ends(x, dt, bias, A, B, end, decay, L, channels, segments, length,
         N: tl.constexpr, P: tl.constexpr, SELECTIVE_DT: tl.constexpr, SELECTIVE_B: tl.constexpr,
         NG: tl.constexpr, NV: tl.constexpr, NL: tl.constexpr, DH: tl.constexpr, DL: tl.constexpr):  # fmt: skip
    """Fills end, decay (b, segments, D, P, N): each segment's final state from zero and its decay. The rest is as in `forward`."""
    block, segment, b = _program(tl.cdiv(channels, DH * DL), segments)
    tile = _tile(block, channels, N, P, NG, NV, NL, DH, DL)
    place, there = tile[2], tile[5]
    first = segment * length
    last = tl.minimum(first + length, L) - 1
    bias_d = None if bias is None else tl.load(bias + tile[0], mask=tile[3], other=0.0)
    A_d = _load(A, place, there, N, P)
    row = b * L + first
    x_next, dt_next = _channel_row(x, row, channels, tile), _step_row(dt, row, channels, tile, SELECTIVE_DT)
    B_next = _state_row(B, row, tile, N, P, SELECTIVE_B)
    a = _decay(dt_next, A_d, P)
    h, product = _constant(0.0, P, A_d[0]), _constant(1.0, P, A_d[0])
    for t in range(first, last + 1):
        x_t, dt_t, B_t = x_next, dt_next, B_next
        row = b * L + tl.minimum(t + 1, last)
        x_next = _channel_row(x, row, channels, tile)
        if SELECTIVE_DT:
            dt_next = _step_row(dt, row, channels, tile, SELECTIVE_DT)
        if SELECTIVE_B:
            B_next = _state_row(B, row, tile, N, P, SELECTIVE_B)
        w = _step_size(dt_t, bias_d)
        if SELECTIVE_DT:
            a = _decay(w, A_d, P)
        h = _add(_product(a, h, P), _scaled(B_t, w * x_t, P), P)
        product = _product(a, product, P)
    slot = (b * segments + segment) * (channels * (P * N))
    _store(end + slot, place, h, there, N, P)
    _store(decay + slot, place, product, there, N, P)


@triton.jit(do_not_specialize=_SIZES)
def forward(x, dt, bias, A, B, C, D, z, h0, end, decay, kept, steps, core, out, final, L, channels, segments, length, chunks,
            N: tl.constexpr, P: tl.constexpr, KEPT: tl.constexpr,
            SELECTIVE_DT: tl.constexpr, SELECTIVE_B: tl.constexpr, SELECTIVE_C: tl.constexpr,
            NG: tl.constexpr, NV: tl.constexpr, NL: tl.constexpr, DH: tl.constexpr, DL: tl.constexpr):  # fmt: skip
    """The scan of one block of channels, one segment and one sequence a program.

    x, z: (b, L, D). dt: (b, L, D), or the step sizes (D,) if constant. bias: (D,); None: dt are the step sizes. A: (D, P, N). B, C:
    (b, L, P, N) or (D, P, N). D: (D,). h0: (b, D, P, N). end, decay: of `ends`, not read if there is one segment. Filled: kept
    (b, chunks, D, P, N), the state before every KEPT-th step; steps (b, L, D), the step sizes; core (b, L, D), the output before the
    gate; out; final (b, D, P, N). D, z, kept, steps and core may be None.
    """
    block, segment, b = _program(tl.cdiv(channels, DH * DL), segments)
    tile = _tile(block, channels, N, P, NG, NV, NL, DH, DL)
    d, place, in_d, there = tile[0], tile[2], tile[3], tile[5]
    of_state = channels * (P * N)
    first = segment * length
    stop = tl.minimum(first + length, L)
    bias_d = None if bias is None else tl.load(bias + d, mask=in_d, other=0.0)
    D_d = None if D is None else tl.load(D + d, mask=in_d, other=0.0)
    A_d = _load(A, place, there, N, P)
    row = b * L + first
    x_next, dt_next = _channel_row(x, row, channels, tile), _step_row(dt, row, channels, tile, SELECTIVE_DT)
    B_next, C_next = _state_row(B, row, tile, N, P, SELECTIVE_B), _state_row(C, row, tile, N, P, SELECTIVE_C)
    z_next = x_next if z is None else _channel_row(z, row, channels, tile)
    a = _decay(dt_next, A_d, P)
    h = _load(h0 + b * of_state, place, there, N, P)
    for before in range(segment):
        slot = (b * segments + before) * of_state
        h = _product(_load(decay + slot, place, there, N, P), h, P)
        h = _add(_load(end + slot, place, there, N, P), h, P)
    for chunk in range(first // KEPT, tl.cdiv(stop, KEPT)):
        if kept is not None:
            _store(kept + (b * chunks + chunk) * of_state, place, h, there, N, P)
        for t in range(chunk * KEPT, tl.minimum(chunk * KEPT + KEPT, stop)):
            x_t, dt_t, B_t, C_t, z_t = x_next, dt_next, B_next, C_next, z_next
            row, ahead = b * L + t, b * L + tl.minimum(t + 1, stop - 1)
            x_next = _channel_row(x, ahead, channels, tile)
            if SELECTIVE_DT:
                dt_next = _step_row(dt, ahead, channels, tile, SELECTIVE_DT)
            if SELECTIVE_B:
                B_next = _state_row(B, ahead, tile, N, P, SELECTIVE_B)
            if SELECTIVE_C:
                C_next = _state_row(C, ahead, tile, N, P, SELECTIVE_C)
            if z is not None:
                z_next = _channel_row(z, ahead, channels, tile)
            w = _step_size(dt_t, bias_d)
            if SELECTIVE_DT:
                a = _decay(w, A_d, P)
            h = _add(_product(a, h, P), _scaled(B_t, w * x_t, P), P)
            y = _over_states(_real_product(C_t, h, P))
            if D is not None:
                y += D_d * x_t
            if steps is not None:
                tl.store(steps + row * channels + d, w, mask=in_d)
            if z is not None:
                if core is not None:
                    tl.store(core + row * channels + d, y, mask=in_d)
                y *= z_t * _sigmoid(z_t)
            tl.store(out + row * channels + d, y, mask=in_d)
    if segment == segments - 1:
        _store(final + b * of_state, place, h, there, N, P)
