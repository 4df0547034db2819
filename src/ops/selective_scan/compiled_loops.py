"""The selective scan over whole sequences as compiled loops: steps, states, output and gate in one pass, and back.

Time is cut into chunks, channels into blocks; all work arrays of a chunk stay in cache. The state that enters each
chunk is stored, no other; the backward pass takes the chunks in reverse and computes the rest again. Everything is
held as real planes; P is 1 (real) or 2 (real part, imaginary part). `src.ops.selective_scan.compiled_states` has the mathematics.
"""

from ..elementary import LOG2_E, exp2, exp_unit, log1p_unit
from ..jit import jit
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
ROWS_FORWARD, ROWS_BACKWARD = 3, 12  # work arrays of (T_CHUNK + 1, W_BLOCK) that the two passes need


@jit
def _steps(x, dt, bias, softplus, w, u):
    """One row: w = dt + bias, through softplus if asked, and u = w x."""
    zero = x.dtype.type(0)
    for d in range(x.size):
        w[d] = dt[d]
    if bias.size > 0:
        for d in range(x.size):
            w[d] += bias[d]
    if softplus:
        for d in range(x.size):
            v = w[d]
            w[d] = max(v, zero) + log1p_unit(exp_unit(-abs(v)))
    for d in range(x.size):
        u[d] = w[d] * x[d]


@jit
def _step_gradients(x, dt, bias, softplus, w, dw, du, dx, ddt):
    """One row of the way back through `_steps`; the sigmoid is the slope of softplus."""
    real = x.dtype.type
    one, scale = real(1), real(-LOG2_E)
    for d in range(x.size):
        dx[d] += du[d] * w[d]
        ddt[d] = dw[d] + du[d] * x[d]
    if softplus:
        for d in range(x.size):
            v = dt[d] + bias[d] if bias.size > 0 else dt[d]
            e = exp2(abs(v) * scale)
            ddt[d] *= (one if v >= real(0) else e) / (one + e)


@jit
def _outputs(x, D, z, y, core, out):
    """One row: core = y + D x and out = core silu(z); without a gate core is not stored."""
    real = x.dtype.type
    one, scale = real(1), real(-LOG2_E)
    if D.size > 0:
        for d in range(x.size):
            y[d] += D[d] * x[d]
    if z.size > 0:
        for d in range(x.size):
            core[d] = y[d]
            out[d] = y[d] * (z[d] / (one + exp2(z[d] * scale)))
    else:
        for d in range(x.size):
            out[d] = y[d]


@jit
def _output_gradients(x, D, z, core, dout, dy, dz, dD, dx):
    """One row of the way back through `_outputs`; dx is set, not added to."""
    real = x.dtype.type
    one, scale = real(1), real(-LOG2_E)
    if z.size > 0:
        for d in range(x.size):
            sigmoid = one / (one + exp2(z[d] * scale))
            dy[d] = dout[d] * (z[d] * sigmoid)
            dz[d] = dout[d] * core[d] * (sigmoid * (one + z[d] * (one - sigmoid)))
    else:
        for d in range(x.size):
            dy[d] = dout[d]
    if D.size > 0:
        for d in range(x.size):
            dx[d] = D[d] * dy[d]
            dD[d] += dy[d] * x[d]
    else:
        for d in range(x.size):
            dx[d] = real(0)


@jit
def _part(B, p, b, n, t0, t1, d0, d1):
    """State n of B or C for one chunk: (T,) of a selective (P, b, N, L), (1, W) of a constant (P, N, D)."""
    if B.ndim == 4:
        return B[p, b, n, t0:t1]
    else:
        return B[p, n, d0:d1].reshape(1, d1 - d0)


@jit
def _slot(dB, j, p, b, n, t0, t1, d0, d1):
    """Where the gradient of `_part` goes: dB (blocks, P, b, N, L) or (P, b, N, D), one writer for each entry."""
    if dB.ndim == 5:
        return dB[j, p, b, n, t0:t1]
    else:
        return dB[p, b, n, d0:d1].reshape(1, d1 - d0)


@jit
def forward(first, last, work, states, softplus, S, inputs, h, core, out):
    """The scan of jobs first..last-1; a job is one block of channels of one sequence.

    work: (ROWS_FORWARD, size), scratch of this thread. states: (chunks, P, b, N, D), filled with the states that enter
    each chunk. S: A scaled as `complex_forward` wants it, (N, D) if real, (2, N, D) if complex; an argument of its own,
    so that Numba compiles one of the two branches only. inputs: (x, dt, bias, D, z, A, B, C) with x, dt, z (b, L, D);
    bias, D (D,); A (P, N, D); B, C (P, b, N, L) if selective, (P, N, D) if constant. An absent bias, D or z has no
    elements. h: (P, b, N, D), the initial state, which becomes the final one. core, out: (b, L, D), filled with the
    output before the gate (if there is one) and after it.
    """
    x, dt, bias, D, z, _, B, C = inputs
    _, L, channels = x.shape
    blocks = (channels + W_BLOCK - 1) // W_BLOCK
    for job in range(first, last):
        b, j = job // blocks, job % blocks
        d0 = j * W_BLOCK
        d1 = min(d0 + W_BLOCK, channels)
        for k in range(states.shape[0]):
            t0 = k * T_CHUNK
            t1 = min(t0 + T_CHUNK, L)
            T, W = t1 - t0, d1 - d0
            w, u, y = work[0, : T * W].reshape(T, W), work[1, : T * W].reshape(T, W), work[2, : T * W].reshape(T, W)
            for t in range(T):
                _steps(x[b, t0 + t, d0:d1], dt[b, t0 + t, d0:d1], bias[d0:d1], softplus, w[t], u[t])
            y[:] = 0
            for n in range(states.shape[3]):
                Br, Cr = _part(B, 0, b, n, t0, t1, d0, d1), _part(C, 0, b, n, t0, t1, d0, d1)
                hr = h[0, b, n, d0:d1]
                states[k, 0, b, n, d0:d1] = hr
                if S.ndim == 2:
                    real_forward(w, u, S[n, d0:d1], Br, Cr, hr, y)
                else:
                    Bi, Ci = _part(B, 1, b, n, t0, t1, d0, d1), _part(C, 1, b, n, t0, t1, d0, d1)
                    hi = h[1, b, n, d0:d1]
                    states[k, 1, b, n, d0:d1] = hi
                    complex_forward(w, u, S[0, n, d0:d1], S[1, n, d0:d1], Br, Bi, Cr, Ci, hr, hi, y)
            for t in range(T):
                r = t0 + t
                _outputs(x[b, r, d0:d1], D[d0:d1], z[b, r, d0:d1], y[t], core[b, r, d0:d1], out[b, r, d0:d1])


@jit
def backward(first, last, work, states, softplus, S, inputs, order, core, dout, carry, gradients):
    """Gradients of `forward`, of which inputs, states and core are kept; order: T_CHUNK - 1, ..., 0.

    carry: (P, b, N, D), the gradient of the final state, which becomes that of the initial one. gradients: (dx, ddt,
    dz, dD, dA, dB, dC); the first three are set, the sums dD (b, D), dA (P, b, N, D) and dB, dC (blocks, P, b, N, L) or
    (P, b, N, D) are added to.
    """
    x, dt, bias, D, z, A, B, C = inputs
    dx, ddt, dz, dD, dA, dB, dC = gradients
    _, L, channels = x.shape
    blocks = (channels + W_BLOCK - 1) // W_BLOCK
    one = x.dtype.type(1)
    for job in range(first, last):
        b, j = job // blocks, job % blocks
        d0 = j * W_BLOCK
        d1 = min(d0 + W_BLOCK, channels)
        for back in range(states.shape[0]):
            k = states.shape[0] - 1 - back
            t0 = k * T_CHUNK
            t1 = min(t0 + T_CHUNK, L)
            T, W = t1 - t0, d1 - d0
            size = T * W
            w, u, dy = work[0, :size].reshape(T, W), work[1, :size].reshape(T, W), work[2, :size].reshape(T, W)
            dw, du, ar = work[3, :size].reshape(T, W), work[4, :size].reshape(T, W), work[5, :size].reshape(T, W)
            hr, Gr = work[7, : size + W].reshape(T + 1, W), work[9, :size].reshape(T, W)
            rows = work[11, : 6 * W].reshape(6, W)
            now, row, sums = rows[:2], rows[2], rows[3:]
            late = order[T_CHUNK - T :]
            sums[:] = 0
            for t in range(T):
                r = t0 + t
                _steps(x[b, r, d0:d1], dt[b, r, d0:d1], bias[d0:d1], softplus, w[t], u[t])
                _output_gradients(
                    x[b, r, d0:d1], D[d0:d1], z[b, r, d0:d1], core[b, r, d0:d1], dout[b, r, d0:d1],
                    dy[t], dz[b, r, d0:d1], sums[0], dx[b, r, d0:d1],
                )  # fmt: skip
            if D.size > 0:
                add_row(one, sums[0], dD[b, d0:d1])
            dw[:] = 0
            du[:] = 0
            for n in range(states.shape[3]):
                Br, dBr = _part(B, 0, b, n, t0, t1, d0, d1), _slot(dB, j, 0, b, n, t0, t1, d0, d1)
                Cr, dCr = _part(C, 0, b, n, t0, t1, d0, d1), _slot(dC, j, 0, b, n, t0, t1, d0, d1)
                Ar, dAr, kr = A[0, n, d0:d1], sums[1], carry[0, b, n, d0:d1]
                dAr[:] = 0
                now[0] = states[k, 0, b, n, d0:d1]
                if S.ndim == 2:
                    real_states(w, u, S[n, d0:d1], Br, ar, now[0], hr)
                    real_adjoint(late, dy, Cr, ar, kr, Gr)
                    real_gradients(w, Ar, Br, ar, hr, Gr, dAr, dw, du)
                else:
                    ai, Gi = work[6, :size].reshape(T, W), work[10, :size].reshape(T, W)
                    hi = work[8, : size + W].reshape(T + 1, W)
                    Bi, dBi = _part(B, 1, b, n, t0, t1, d0, d1), _slot(dB, j, 1, b, n, t0, t1, d0, d1)
                    Ci, dCi = _part(C, 1, b, n, t0, t1, d0, d1), _slot(dC, j, 1, b, n, t0, t1, d0, d1)
                    Ai, dAi, ki = A[1, n, d0:d1], sums[2], carry[1, b, n, d0:d1]
                    dAi[:] = 0
                    now[1] = states[k, 1, b, n, d0:d1]
                    complex_states(w, u, S[0, n, d0:d1], S[1, n, d0:d1], Br, Bi, ar, ai, now[0], now[1], hr, hi)
                    complex_adjoint(late, dy, Cr, Ci, ar, ai, kr, ki, Gr, Gi)
                    complex_gradients(w, Ar, Ai, Br, Bi, ar, ai, hr, hi, Gr, Gi, dAr, dAi, dw, du)
                    add_row(one, dAi, dA[1, b, n, d0:d1])
                    add_products(one, u, Gi, row, dBi)
                    add_products(-one, dy, hi[1:], row, dCi)
                add_row(one, dAr, dA[0, b, n, d0:d1])
                add_products(one, u, Gr, row, dBr)
                add_products(one, dy, hr[1:], row, dCr)
            for t in range(T):
                r = t0 + t
                _step_gradients(
                    x[b, r, d0:d1], dt[b, r, d0:d1], bias[d0:d1], softplus, w[t], dw[t], du[t],
                    dx[b, r, d0:d1], ddt[b, r, d0:d1],
                )  # fmt: skip
