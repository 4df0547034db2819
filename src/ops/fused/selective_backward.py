"""The fused selective scan, backward: the adjoint is the same recurrence from the last step to the first.

With w the step size, a = exp(w A), G = dloss/dh and K what it hands to the step before, all as (real, imaginary) pairs,

    G_t = conj(C_t) dy_t + K_t,   K_{t-1} = conj(a_t) G_t,   dB_t = G_t w_t x_t,   dC_t = dy_t conj(h_t),
    q_t = conj(h_{t-1}) K_{t-1} = dloss/d(w_t A),   dA = sum_t q_t w_t,   dw_t = Re(sum_n conj(A) q_t) + x_t Re(sum_n conj(B_t) G_t).

The states are computed again, chunk by chunk from the last one: first from the kept state of the chunk to the state before every STEPS-th
step, then the states of STEPS steps at a time, into a scratch tile that is small enough to stay in cache. Segments of time run side by
side as they do forward: `adjoint_ends` gives what each one hands on if it is handed zero. Each program has partial sums of its own, which
are added up afterwards: no atomics, the same bits every time.
"""

import triton
import triton.language as tl

from src.ops.fused.selective_parts import (
    _add,
    _channel_row,
    _conjugate,
    _constant,
    _decay,
    _load,
    _over_channels,
    _over_states,
    _product,
    _program,
    _real_product,
    _scaled,
    _scratch_slot,
    _sigmoid,
    _slope_of_softplus,
    _state_row,
    _step_row,
    _store,
    _tile,
    _writers,
)

_SIZES = ["L", "segments", "length", "chunks", "batch"]  # one binary for all of them


@triton.jit(do_not_specialize=_SIZES)
def adjoint_ends(steps, A, C, z, dout, end, L, channels, segments, length,
                 N: tl.constexpr, P: tl.constexpr, SELECTIVE_DT: tl.constexpr, SELECTIVE_C: tl.constexpr,
                 NG: tl.constexpr, NV: tl.constexpr, NL: tl.constexpr, DH: tl.constexpr, DL: tl.constexpr):  # fmt: skip
    """Fills end (b, segments, D, P, N): K before each segment if K after it is zero. Not for segment 0, which nobody is before."""
    block, late, b = _program(tl.cdiv(channels, DH * DL), segments - 1)
    segment = late + 1
    tile = _tile(block, channels, N, P, NG, NV, NL, DH, DL)
    place, there = tile[2], tile[5]
    first = segment * length
    stop = tl.minimum(first + length, L)
    A_d = _load(A, place, there, N, P)
    row = b * L + stop - 1
    w_next, dy_next = _step_row(steps, row, channels, tile, SELECTIVE_DT), _channel_row(dout, row, channels, tile)
    C_next = _state_row(C, row, tile, N, P, SELECTIVE_C)
    z_next = dy_next if z is None else _channel_row(z, row, channels, tile)
    a = _decay(w_next, A_d, P)
    K = _constant(0.0, P, A_d[0])
    for back in range(stop - first):
        w, dy, C_t, z_t = w_next, dy_next, C_next, z_next
        row = b * L + tl.maximum(stop - 2 - back, first)
        dy_next = _channel_row(dout, row, channels, tile)
        if SELECTIVE_DT:
            w_next = _step_row(steps, row, channels, tile, SELECTIVE_DT)
        if SELECTIVE_C:
            C_next = _state_row(C, row, tile, N, P, SELECTIVE_C)
        if z is not None:
            z_next = _channel_row(z, row, channels, tile)
            dy *= z_t * _sigmoid(z_t)
        if SELECTIVE_DT:
            a = _decay(w, A_d, P)
        K = _product(_conjugate(a, P), _add(_scaled(_conjugate(C_t, P), dy, P), K, P), P)
    _store(end + (b * segments + segment) * (channels * (P * N)), place, K, there, N, P)


@triton.jit
def _again(h, x, steps, B, A_d, scratch, first, stop, origin, channels, tile, slot, a, N: tl.constexpr, P: tl.constexpr,
           SIZE: tl.constexpr, SELECTIVE_DT: tl.constexpr, SELECTIVE_B: tl.constexpr):  # fmt: skip
    """Advances h from step first to stop; the states before each step go to scratch, if it is there. origin: b L."""
    row = origin + first
    x_next, w_next = _channel_row(x, row, channels, tile), _step_row(steps, row, channels, tile, SELECTIVE_DT)
    B_next = _state_row(B, row, tile, N, P, SELECTIVE_B)
    for t in range(first, stop):
        x_t, w, B_t = x_next, w_next, B_next
        row = origin + tl.minimum(t + 1, stop - 1)
        x_next = _channel_row(x, row, channels, tile)
        if SELECTIVE_DT:
            w_next = _step_row(steps, row, channels, tile, SELECTIVE_DT)
        if SELECTIVE_B:
            B_next = _state_row(B, row, tile, N, P, SELECTIVE_B)
        if scratch is not None:
            _store(scratch + (t - first) * (P * SIZE), slot, h, tile[5], SIZE, P)
        if SELECTIVE_DT:
            a = _decay(w, A_d, P)
        h = _add(_product(a, h, P), _scaled(B_t, w * x_t, P), P)
    return h


@triton.jit
def _through_gate(dout, z, core):
    """Returns the gradients of core and z, where out = core silu(z)."""
    sigmoid = _sigmoid(z)
    return dout * (z * sigmoid), dout * core * (sigmoid * (1.0 + z * (1.0 - sigmoid)))


@triton.jit
def _adjoint_step(K, a, h_before, A_d, B_t, C_t, dy, P: tl.constexpr):
    """Returns G_t, K_{t-1}, q_t, and the sums over states Re(conj(A) q_t) and Re(conj(B_t) G_t)."""
    G = _add(_scaled(_conjugate(C_t, P), dy, P), K, P)
    K = _product(_conjugate(a, P), G, P)
    q = _product(_conjugate(h_before, P), K, P)
    through_A = _over_states(_real_product(_conjugate(A_d, P), q, P))
    through_B = _over_states(_real_product(_conjugate(B_t, P), G, P))
    return G, K, q, through_A, through_B


@triton.jit
def _store_sums(pointer, n, value, write_n, N: tl.constexpr, P: tl.constexpr):
    """Stores the sum over channels of a number."""
    tl.store(pointer + n, _over_channels(value[0]), mask=write_n)
    if P == 2:
        tl.store(pointer + N + n, _over_channels(value[1]), mask=write_n)


@triton.jit(do_not_specialize=_SIZES)
def backward(x, steps, A, B, C, D, z, core, kept, decay, end, dfinal, dout, scratch,
             dx, dsteps, dz, dA, dB, dC, dD, dbias, dh0, L, channels, segments, length, chunks, batch,
             N: tl.constexpr, P: tl.constexpr, KEPT: tl.constexpr, STEPS: tl.constexpr, SOFTPLUS: tl.constexpr,
             SELECTIVE_DT: tl.constexpr, SELECTIVE_B: tl.constexpr, SELECTIVE_C: tl.constexpr,
             NG: tl.constexpr, NV: tl.constexpr, NL: tl.constexpr, DH: tl.constexpr, DL: tl.constexpr):  # fmt: skip
    """Gradients of `forward` for one block of channels, one segment and one sequence a program.

    As there, and: steps, the step sizes (b, L, D) or (D,). end: of `adjoint_ends`. dfinal: (b, D, P, N). dout: (b, L, D). scratch:
    (programs, STEPS + KEPT / STEPS, P, 32 DH NG NV). Filled: dx, dz, dsteps (b, L, D), the last one the gradient of dt through softplus if
    SOFTPLUS, None if it is constant; dA (b, segments, D, P, N); dB, dC: (blocks, b, L, P, N) if selective, like dA if constant; dD
    and dbias, the sum of dsteps, (b, segments, D); dh0: (b, D, P, N).
    """
    block, segment, b = _program(tl.cdiv(channels, DH * DL), segments)
    tile = _tile(block, channels, N, P, NG, NV, NL, DH, DL)
    d, n, place, in_d, _, there = tile
    SIZE: tl.constexpr = 32 * DH * NG * NV
    slot = _scratch_slot(NG, NV, NL, DH, DL)
    states = scratch + tl.program_id(0).to(tl.int64) * ((STEPS + KEPT // STEPS) * P * SIZE)
    entries = states + STEPS * P * SIZE
    write_d, write_n = _writers(tile, NG, NV, NL, DH, DL)
    of_state, origin, row_of_block = channels * (P * N), b * L, (block.to(tl.int64) * batch + b) * L
    first = segment * length
    stop = tl.minimum(first + length, L)
    A_d, D_d = _load(A, place, there, N, P), None if D is None else tl.load(D + d, mask=in_d, other=0.0)
    K = _load(dfinal + b * of_state, place, there, N, P)
    for later in range(segments - 1 - segment):
        other = (b * segments + segments - 1 - later) * of_state
        K = _product(_conjugate(_load(decay + other, place, there, N, P), P), K, P)
        K = _add(_load(end + other, place, there, N, P), K, P)
    row = origin + stop - 1
    dy_next, x_next = _channel_row(dout, row, channels, tile), _channel_row(x, row, channels, tile)
    w_next = _step_row(steps, row, channels, tile, SELECTIVE_DT)
    B_next, C_next = _state_row(B, row, tile, N, P, SELECTIVE_B), _state_row(C, row, tile, N, P, SELECTIVE_C)
    z_next = dy_next if z is None else _channel_row(z, row, channels, tile)
    core_next = dy_next if z is None else _channel_row(core, row, channels, tile)
    a = _decay(w_next, A_d, P)
    sum_A, sum_B, sum_C = _constant(0.0, P, A_d[0]), _constant(0.0, P, A_d[0]), _constant(0.0, P, A_d[0])
    sum_D, sum_w = x_next * 0.0, x_next * 0.0
    for chunk_back in range(tl.cdiv(stop - first, KEPT)):
        chunk = (stop - 1) // KEPT - chunk_back
        start = chunk * KEPT
        parts = tl.cdiv(tl.minimum(start + KEPT, stop) - start, STEPS)
        h = _load(kept + (b * chunks + chunk) * of_state, place, there, N, P)
        for part in range(parts):
            _store(entries + part * (P * SIZE), slot, h, there, SIZE, P)
            if part < parts - 1:
                begin = start + part * STEPS
                h = _again(h, x, steps, B, A_d, None, begin, begin + STEPS, origin, channels, tile, slot, a,
                           N, P, SIZE, SELECTIVE_DT, SELECTIVE_B)  # fmt: skip
        tl.debug_barrier()
        for part_back in range(parts):
            part = parts - 1 - part_back
            begin = start + part * STEPS
            close = tl.minimum(begin + STEPS, stop)
            h = _load(entries + part * (P * SIZE), slot, there, SIZE, P)
            h = _again(h, x, steps, B, A_d, states, begin, close, origin, channels, tile, slot, a,
                       N, P, SIZE, SELECTIVE_DT, SELECTIVE_B)  # fmt: skip
            tl.debug_barrier()
            for back in range(close - begin):
                t = close - 1 - back
                dy, x_t, w, B_t, C_t, z_t, core_t = dy_next, x_next, w_next, B_next, C_next, z_next, core_next
                h_before = _load(states + (t - begin) * (P * SIZE), slot, there, SIZE, P)
                row, ahead = origin + t, origin + tl.maximum(t - 1, first)
                dy_next, x_next = _channel_row(dout, ahead, channels, tile), _channel_row(x, ahead, channels, tile)
                if SELECTIVE_DT:
                    w_next = _step_row(steps, ahead, channels, tile, SELECTIVE_DT)
                if SELECTIVE_B:
                    B_next = _state_row(B, ahead, tile, N, P, SELECTIVE_B)
                if SELECTIVE_C:
                    C_next = _state_row(C, ahead, tile, N, P, SELECTIVE_C)
                if z is not None:
                    z_next = _channel_row(z, ahead, channels, tile)
                    core_next = _channel_row(core, ahead, channels, tile)
                    dy, dz_t = _through_gate(dy, z_t, core_t)
                    tl.store(dz + row * channels + d, dz_t, mask=write_d)
                if SELECTIVE_DT:
                    a = _decay(w, A_d, P)
                G, K, q, through_A, through_B = _adjoint_step(K, a, h_before, A_d, B_t, C_t, dy, P)
                sum_A = _add(sum_A, _scaled(q, w, P), P)
                B_grad, C_grad = _scaled(G, w * x_t, P), _scaled(_conjugate(h, P), dy, P)
                if SELECTIVE_B:
                    _store_sums(dB + (row_of_block + t) * (P * N), n, B_grad, write_n, N, P)
                else:
                    sum_B = _add(sum_B, B_grad, P)
                if SELECTIVE_C:
                    _store_sums(dC + (row_of_block + t) * (P * N), n, C_grad, write_n, N, P)
                else:
                    sum_C = _add(sum_C, C_grad, P)
                h = h_before
                dx_t, dw = through_B * w, through_A + through_B * x_t
                if D is not None:
                    dx_t += D_d * dy
                    sum_D += dy * x_t
                tl.store(dx + row * channels + d, dx_t, mask=write_d)
                if SOFTPLUS:
                    dw *= _slope_of_softplus(w)
                if SELECTIVE_DT:
                    tl.store(dsteps + row * channels + d, dw, mask=write_d)
                sum_w += dw
            tl.debug_barrier()
    here = b * segments + segment
    _store(dA + here * of_state, place, sum_A, there, N, P)
    if not SELECTIVE_B:
        _store(dB + here * of_state, place, sum_B, there, N, P)
    if not SELECTIVE_C:
        _store(dC + here * of_state, place, sum_C, there, N, P)
    if D is not None:
        tl.store(dD + here * channels + d, sum_D, mask=write_d)
    tl.store(dbias + here * channels + d, sum_w, mask=write_d)
    if segment == 0:
        _store(dh0 + b * of_state, place, K, there, N, P)
