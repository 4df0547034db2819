"""The selective scan over whole sequences as compiled loops: steps, states, output and gate in one pass, and back.

Time is cut into chunks, channels into blocks; all work arrays of a chunk stay in cache. The state that enters each
chunk is stored, no other; the backward pass takes the chunks in reverse and computes the rest again. Everything is
held as real planes; P is 1 (real) or 2 (real part, imaginary part). `compiled_states` has the mathematics,
`compiled_rows` what stands before and behind the states.
"""

from typing import Any, NamedTuple

from ..jit import inlined, jit
from .compiled_rows import output_gradients, outputs, step_gradients, steps
from .compiled_states import (
    add_products,
    add_row,
    complex_adjoint,
    complex_forward,
    complex_gradients,
    complex_states,
    real_adjoint,
    real_forward,
    real_gradients,
    real_states,
)

T_CHUNK = 32  # time steps between stored states
W_BLOCK = 128  # channels in one block


class ForwardWork(NamedTuple):
    """Scratch of one thread; flat as it is handed over, (T, W) in a chunk."""

    w: Any  # step sizes
    u: Any  # w x
    y: Any  # what the states put out


class BackwardWork(NamedTuple):
    """Scratch of one thread; flat as it is handed over, (T, W) in a chunk, but (T + 1, W) for hr and hi, (2, W) and (3, W) at the end."""

    w: Any
    u: Any
    dy: Any
    dw: Any
    du: Any
    ar: Any  # decays exp(w A), then the gradients K that they hand back: real and imaginary parts
    ai: Any
    hr: Any  # states, before the first step and after each
    hi: Any
    Gr: Any  # gradients of the states
    Gi: Any
    now: Any  # the state that runs through the chunk, real and imaginary part
    sums: Any  # of a chunk, for dD and both parts of dA
    row: Any  # of whatever needs one


class Block(NamedTuple):
    """Steps t0..t1-1 and channels d0..d1-1, the j-th block of them, of sequence b."""

    b: int
    j: int
    t0: int
    t1: int
    d0: int
    d1: int


@inlined
def _block(job, k, L, channels):
    """Chunk k of a job; a job is one block of channels of one sequence."""
    blocks = (channels + W_BLOCK - 1) // W_BLOCK
    b, j = job // blocks, job % blocks
    t0, d0 = k * T_CHUNK, j * W_BLOCK
    return Block(b, j, t0, min(t0 + T_CHUNK, L), d0, min(d0 + W_BLOCK, channels))


@inlined
def _matrix(flat, rows, columns):
    return flat[: rows * columns].reshape(rows, columns)


@inlined
def _part(B, p, n, at):
    """State n of B or C for one chunk: (T,) of a selective (P, b, N, L), (1, W) of a constant (P, N, D)."""
    if B.ndim == 4:
        return B[p, at.b, n, at.t0 : at.t1]
    else:
        return B[p, n, at.d0 : at.d1].reshape(1, at.d1 - at.d0)


@inlined
def _slot(dB, p, n, at):
    """Where the gradient of `_part` goes: dB (blocks, P, b, N, L) or (P, b, N, D), one writer for each entry."""
    if dB.ndim == 5:
        return dB[at.j, p, at.b, n, at.t0 : at.t1]
    else:
        return dB[p, at.b, n, at.d0 : at.d1].reshape(1, at.d1 - at.d0)


@jit
def forward(first, last, work, states, softplus, S, inputs, h, core, out):
    """The scan of jobs first..last-1; a job is one block of channels of one sequence.

    work: a `ForwardWork`. states: (chunks, P, b, N, D), filled with the states that enter each chunk. S: A scaled as
    `complex_forward` wants it, (N, D) if real, (2, N, D) if complex; an argument of its own, so that Numba compiles one
    of the two branches only. inputs: (x, dt, bias, D, z, A, B, C) with x, dt, z (b, L, D); bias, D (D,); A (P, N, D);
    B, C (P, b, N, L) if selective, (P, N, D) if constant. An absent bias, D or z has no elements. h: (P, b, N, D), the
    initial state, which becomes the final one. core, out: (b, L, D), filled with the output before the gate (if there
    is one) and after it.
    """
    x, dt, bias, D, z, _, B, C = inputs
    for job in range(first, last):
        for k in range(states.shape[0]):
            at = _block(job, k, x.shape[1], x.shape[2])
            b, d0, d1 = at.b, at.d0, at.d1
            T, W = at.t1 - at.t0, d1 - d0
            w, u, y = _matrix(work.w, T, W), _matrix(work.u, T, W), _matrix(work.y, T, W)
            for t in range(T):
                r = at.t0 + t
                steps(x[b, r, d0:d1], dt[b, r, d0:d1], bias[d0:d1], softplus, w[t], u[t])
            y[:] = 0
            for n in range(states.shape[3]):
                Br, Cr = _part(B, 0, n, at), _part(C, 0, n, at)
                hr = h[0, b, n, d0:d1]
                states[k, 0, b, n, d0:d1] = hr
                if S.ndim == 2:
                    real_forward(w, u, S[n, d0:d1], Br, Cr, hr, y)
                else:
                    Bi, Ci = _part(B, 1, n, at), _part(C, 1, n, at)
                    hi = h[1, b, n, d0:d1]
                    states[k, 1, b, n, d0:d1] = hi
                    complex_forward(w, u, S[0, n, d0:d1], S[1, n, d0:d1], Br, Bi, Cr, Ci, hr, hi, y)
            for t in range(T):
                r = at.t0 + t
                outputs(x[b, r, d0:d1], D[d0:d1], z[b, r, d0:d1], y[t], core[b, r, d0:d1], out[b, r, d0:d1])


@jit
def backward(first, last, work, states, softplus, S, inputs, order, core, dout, carry, gradients):
    """Gradients of `forward`, of which inputs, states and core are kept; order: T_CHUNK - 1, ..., 0.

    work: a `BackwardWork`. carry: (P, b, N, D), the gradient of the final state, which becomes that of the initial one.
    gradients: (dx, ddt, dz, dD, dA, dB, dC); the first three are set, the sums dD (b, D), dA (P, b, N, D) and dB, dC
    (blocks, P, b, N, L) or (P, b, N, D) are added to.
    """
    x, dt, bias, D, z, A, B, C = inputs
    dx, ddt, dz, dD, dA, dB, dC = gradients
    for job in range(first, last):
        for back in range(states.shape[0]):
            k = states.shape[0] - 1 - back
            at = _block(job, k, x.shape[1], x.shape[2])
            b, d0, d1 = at.b, at.d0, at.d1
            tile = _tile(work, at.t1 - at.t0, d1 - d0)
            T = tile.w.shape[0]
            tile.sums[:] = 0
            for t in range(T):
                r = at.t0 + t
                steps(x[b, r, d0:d1], dt[b, r, d0:d1], bias[d0:d1], softplus, tile.w[t], tile.u[t])
                output_gradients(
                    x[b, r, d0:d1], D[d0:d1], z[b, r, d0:d1], core[b, r, d0:d1], dout[b, r, d0:d1],
                    tile.dy[t], dz[b, r, d0:d1], tile.sums[0], dx[b, r, d0:d1],
                )  # fmt: skip
            if D.size > 0:
                add_row(x.dtype.type(1), tile.sums[0], dD[b, d0:d1])
            tile.dw[:] = 0
            tile.du[:] = 0
            late = order[T_CHUNK - T :]
            for n in range(states.shape[3]):
                if S.ndim == 2:
                    _real_state(n, at, tile, states[k], S, A, B, C, late, carry, (dA, dB, dC))
                else:
                    _complex_state(n, at, tile, states[k], S, A, B, C, late, carry, (dA, dB, dC))
            for t in range(T):
                r = at.t0 + t
                step_gradients(
                    x[b, r, d0:d1], dt[b, r, d0:d1], bias[d0:d1], softplus, tile.w[t], tile.dw[t], tile.du[t],
                    dx[b, r, d0:d1], ddt[b, r, d0:d1],
                )  # fmt: skip


@inlined
def _tile(work, T, W):
    """A thread's scratch as matrices of a chunk's size."""
    return BackwardWork(
        _matrix(work.w, T, W), _matrix(work.u, T, W), _matrix(work.dy, T, W), _matrix(work.dw, T, W), _matrix(work.du, T, W),
        _matrix(work.ar, T, W), _matrix(work.ai, T, W), _matrix(work.hr, T + 1, W), _matrix(work.hi, T + 1, W),
        _matrix(work.Gr, T, W), _matrix(work.Gi, T, W),
        _matrix(work.now, 2, W), _matrix(work.sums, 3, W), work.row[:W],
    )  # fmt: skip


@inlined
def _real_state(n, at, tile, states, S, A, B, C, late, carry, sums):
    """The way back through state n in one chunk; states: (P, b, N, D), those that enter it. sums: (dA, dB, dC)."""
    dA, dB, dC = sums
    one, b, d0, d1 = tile.w.dtype.type(1), at.b, at.d0, at.d1
    B_n, C_n, dA_n = _part(B, 0, n, at), _part(C, 0, n, at), tile.sums[1]
    dA_n[:] = 0
    tile.now[0] = states[0, b, n, d0:d1]
    real_states(tile.w, tile.u, S[n, d0:d1], B_n, tile.ar, tile.now[0], tile.hr)
    real_adjoint(late, tile.dy, C_n, tile.ar, carry[0, b, n, d0:d1], tile.Gr)
    real_gradients(tile.w, A[0, n, d0:d1], B_n, tile.ar, tile.hr, tile.Gr, dA_n, tile.dw, tile.du)
    add_row(one, dA_n, dA[0, b, n, d0:d1])
    add_products(one, tile.u, tile.Gr, tile.row, _slot(dB, 0, n, at))
    add_products(one, tile.dy, tile.hr[1:], tile.row, _slot(dC, 0, n, at))


@inlined
def _complex_state(n, at, tile, states, S, A, B, C, late, carry, sums):
    """As `_real_state`, with real and imaginary parts as planes."""
    dA, dB, dC = sums
    one, b, d0, d1 = tile.w.dtype.type(1), at.b, at.d0, at.d1
    Br, Bi, Cr, Ci = _part(B, 0, n, at), _part(B, 1, n, at), _part(C, 0, n, at), _part(C, 1, n, at)
    dAr, dAi, nr, ni = tile.sums[1], tile.sums[2], tile.now[0], tile.now[1]
    dAr[:] = 0
    dAi[:] = 0
    nr[:] = states[0, b, n, d0:d1]
    ni[:] = states[1, b, n, d0:d1]
    complex_states(
        tile.w, tile.u, S[0, n, d0:d1], S[1, n, d0:d1], Br, Bi, tile.ar, tile.ai, nr, ni, tile.hr, tile.hi
    )  # fmt: skip
    complex_adjoint(
        late, tile.dy, Cr, Ci, tile.ar, tile.ai, carry[0, b, n, d0:d1], carry[1, b, n, d0:d1], tile.Gr, tile.Gi
    )  # fmt: skip
    complex_gradients(
        tile.w, (A[0, n, d0:d1], A[1, n, d0:d1]), (Br, Bi), (tile.ar, tile.ai), (tile.hr, tile.hi), (tile.Gr, tile.Gi),
        (dAr, dAi), tile.dw, tile.du,
    )  # fmt: skip
    for sign, p, h, G, dA_p in ((one, 0, tile.hr, tile.Gr, dAr), (-one, 1, tile.hi, tile.Gi, dAi)):
        add_row(one, dA_p, dA[p, b, n, d0:d1])
        add_products(one, tile.u, G, tile.row, _slot(dB, p, n, at))
        add_products(sign, tile.dy, h[1:], tile.row, _slot(dC, p, n, at))
