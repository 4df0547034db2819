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

from .triton_parts import (
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
def _again(h, sources, A_d, a, scratch, first, stop, origin, channels, tile, slot, N: tl.constexpr, P: tl.constexpr,
           SIZE: tl.constexpr, SELECTIVE_DT: tl.constexpr, SELECTIVE_B: tl.constexpr):  # fmt: skip
    """Advances h from step first to stop; the states before each step go to scratch, if it is there. origin: b L. sources: of `_read`."""
    _, x, steps, B, _, _, _ = sources
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
def _keep_entries(h, sources, A_d, a, entries, start, parts, origin, channels, tile, slot, N: tl.constexpr, P: tl.constexpr,
                  SIZE: tl.constexpr, STEPS: tl.constexpr, SELECTIVE_DT: tl.constexpr, SELECTIVE_B: tl.constexpr):  # fmt: skip
    """Stores the state before each part of a chunk, STEPS steps long; h: that before step `start`, where the chunk begins."""
    for part in range(parts):
        _store(entries + part * (P * SIZE), slot, h, tile[5], SIZE, P)
        if part < parts - 1:
            begin = start + part * STEPS
            h = _again(h, sources, A_d, a, None, begin, begin + STEPS, origin, channels, tile, slot, N, P, SIZE,
                       SELECTIVE_DT, SELECTIVE_B)  # fmt: skip


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
def _store_step(dx, dsteps, place, w, x_t, dy, D_d, through_A, through_B, write_d, SOFTPLUS: tl.constexpr):
    """Stores the gradient of x and, if it is selective, that of dt, which is returned."""
    dx_t, dw = through_B * w, through_A + through_B * x_t
    if D_d is not None:
        dx_t += D_d * dy
    if SOFTPLUS:
        dw *= _slope_of_softplus(w)
    tl.store(dx + place, dx_t, mask=write_d)
    if dsteps is not None:
        tl.store(dsteps + place, dw, mask=write_d)
    return dw


@triton.jit
def _read(sources, constants, row, channels, tile, N: tl.constexpr, P: tl.constexpr,
          SELECTIVE_DT: tl.constexpr, SELECTIVE_B: tl.constexpr, SELECTIVE_C: tl.constexpr):  # fmt: skip
    """Returns (dout, x, w, B, C, z, core) of one step; w, B and C are those of `constants` where they are not selective."""
    dout, x, steps, B, C, z, core = sources
    w, B_t, C_t = constants
    dout_t, x_t = _channel_row(dout, row, channels, tile), _channel_row(x, row, channels, tile)
    if SELECTIVE_DT:
        w = _channel_row(steps, row, channels, tile)
    if SELECTIVE_B:
        B_t = _state_row(B, row, tile, N, P, SELECTIVE_B)
    if SELECTIVE_C:
        C_t = _state_row(C, row, tile, N, P, SELECTIVE_C)
    z_t, core_t = dout_t, dout_t
    if z is not None:
        z_t, core_t = _channel_row(z, row, channels, tile), _channel_row(core, row, channels, tile)
    return dout_t, x_t, w, B_t, C_t, z_t, core_t


@triton.jit
def _enter(K, decay, end, segment, segments, b, tile, of_state, N: tl.constexpr, P: tl.constexpr):
    """Takes K from the end of the last segment to the end of this one."""
    for later in range(segments - 1 - segment):
        slot = (b * segments + segments - 1 - later) * of_state
        K = _product(_conjugate(_load(decay + slot, tile[2], tile[5], N, P), P), K, P)
        K = _add(_load(end + slot, tile[2], tile[5], N, P), K, P)
    return K


@triton.jit
def _sum(total, value, pointer, n, write_n, N: tl.constexpr, P: tl.constexpr, SELECTIVE: tl.constexpr):
    """Stores the sum over channels of one step's number if it is selective, else adds the number to `total`, which is returned."""
    if SELECTIVE:
        tl.store(pointer + n, _over_channels(value[0]), mask=write_n)
        if P == 2:
            tl.store(pointer + N + n, _over_channels(value[1]), mask=write_n)
        return total
    else:
        return _add(total, value, P)


@triton.jit(do_not_specialize=_SIZES)
def backward(x, steps, A, B, C, D, z, core, kept, decay, end, dfinal, dout, scratch,
             dx, dsteps, dz, dA, dB, dC, dD, dbias, dh0, L, channels, segments, length, chunks, batch,
             N: tl.constexpr, P: tl.constexpr, KEPT: tl.constexpr, STEPS: tl.constexpr, SOFTPLUS: tl.constexpr,
             SELECTIVE_DT: tl.constexpr, SELECTIVE_B: tl.constexpr, SELECTIVE_C: tl.constexpr,
             NG: tl.constexpr, NV: tl.constexpr, NL: tl.constexpr, DH: tl.constexpr, DL: tl.constexpr):  # fmt: skip
    """Gradients of `forward` for one block of channels, one segment and one sequence a program.

    As there; steps: the step sizes (b, L, D) or (D,). end: of `adjoint_ends`. dfinal: (b, D, P, N). dout: (b, L, D). scratch: (programs,
    STEPS + KEPT / STEPS, P, 32 DH NG NV). Filled: dx, dz, dsteps (b, L, D), the last one through softplus if SOFTPLUS, None if constant;
    dA, and dB, dC if constant, (b, segments, D, P, N), else (blocks, b, L, P, N); dD, dbias (b, segments, D), the sum of dsteps; dh0.
    """
    block, segment, b = _program(tl.cdiv(channels, DH * DL), segments)
    tile = _tile(block, channels, N, P, NG, NV, NL, DH, DL)
    d, n, place, in_d, _, there = tile
    write_d, write_n = _writers(tile, NG, NV, NL, DH, DL)
    SIZE: tl.constexpr = 32 * DH * NG * NV
    slot = _scratch_slot(NG, NV, NL, DH, DL)
    states = scratch + tl.program_id(0).to(tl.int64) * ((STEPS + KEPT // STEPS) * P * SIZE)
    entries = states + STEPS * P * SIZE
    of_state, origin, row_of_block = channels * (P * N), b * L, (block.to(tl.int64) * batch + b) * L
    own, first = b * segments + segment, segment * length
    stop = tl.minimum(first + length, L)
    A_d, D_d = _load(A, place, there, N, P), None if D is None else tl.load(D + d, mask=in_d, other=0.0)
    K = _enter(_load(dfinal + b * of_state, place, there, N, P), decay, end, segment, segments, b, tile, of_state, N, P)
    row = origin + stop - 1
    constants = (
        _step_row(steps, row, channels, tile, SELECTIVE_DT), _state_row(B, row, tile, N, P, SELECTIVE_B),
        _state_row(C, row, tile, N, P, SELECTIVE_C),
    )  # fmt: skip
    sources = (dout, x, steps, B, C, z, core)
    read = _read(sources, constants, row, channels, tile, N, P, SELECTIVE_DT, SELECTIVE_B, SELECTIVE_C)
    a, zero = _decay(constants[0], A_d, P), _constant(0.0, P, A_d[0])
    sum_A, sum_B, sum_C, sum_D = zero, zero, zero, tl.zeros(d.shape, x.dtype.element_ty)
    sum_w = sum_D
    for chunk_back in range(tl.cdiv(stop - first, KEPT)):
        chunk = (stop - 1) // KEPT - chunk_back
        start = chunk * KEPT
        parts = tl.cdiv(tl.minimum(start + KEPT, stop) - start, STEPS)
        h = _load(kept + (b * chunks + chunk) * of_state, place, there, N, P)
        _keep_entries(h, sources, A_d, a, entries, start, parts, origin, channels, tile, slot, N, P, SIZE, STEPS,
                      SELECTIVE_DT, SELECTIVE_B)  # fmt: skip
        tl.debug_barrier()
        for part_back in range(parts):
            part = parts - 1 - part_back
            begin = start + part * STEPS
            close = tl.minimum(begin + STEPS, stop)
            h = _load(entries + part * (P * SIZE), slot, there, SIZE, P)
            h = _again(h, sources, A_d, a, states, begin, close, origin, channels, tile, slot, N, P, SIZE,
                       SELECTIVE_DT, SELECTIVE_B)  # fmt: skip
            tl.debug_barrier()
            for back in range(close - begin):
                t = close - 1 - back
                here, ahead = (origin + t) * channels + d, origin + tl.maximum(t - 1, first)
                h_before = _load(states + (t - begin) * (P * SIZE), slot, there, SIZE, P)
                dy, x_t, w, B_t, C_t, z_t, core_t = read
                read = _read(sources, constants, ahead, channels, tile, N, P, SELECTIVE_DT, SELECTIVE_B, SELECTIVE_C)
                if z is not None:
                    dy, dz_t = _through_gate(dy, z_t, core_t)
                    tl.store(dz + here, dz_t, mask=write_d)
                if SELECTIVE_DT:
                    a = _decay(w, A_d, P)
                G, K, q, through_A, through_B = _adjoint_step(K, a, h_before, A_d, B_t, C_t, dy, P)
                sum_A = _add(sum_A, _scaled(q, w, P), P)
                sums = (row_of_block + t) * (P * N)
                sum_B = _sum(sum_B, _scaled(G, w * x_t, P), dB + sums, n, write_n, N, P, SELECTIVE_B)
                sum_C = _sum(sum_C, _scaled(_conjugate(h, P), dy, P), dC + sums, n, write_n, N, P, SELECTIVE_C)
                h = h_before
                sum_D += dy * x_t
                sum_w += _store_step(dx, dsteps, here, w, x_t, dy, D_d, through_A, through_B, write_d, SOFTPLUS)
            tl.debug_barrier()
    _store(dA + own * of_state, place, sum_A, there, N, P)
    if not SELECTIVE_B:
        _store(dB + own * of_state, place, sum_B, there, N, P)
    if not SELECTIVE_C:
        _store(dC + own * of_state, place, sum_C, there, N, P)
    tl.store(dD + own * channels + d, sum_D, mask=write_d)
    tl.store(dbias + own * channels + d, sum_w, mask=write_d)
    if segment == 0:
        _store(dh0 + b * of_state, place, K, there, N, P)
