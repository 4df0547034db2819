"""The selective scan as compiled loops: lanes are channels, time is cut into chunks, one state of a chunk is finished at a time.

Forward, for a chunk of T steps and W channels, with w the step and u = w x:

    a = exp(w A),   h <- a h + B u,   y += Re(C h);            the state that enters each chunk is stored, no other.

Backward, chunks in reverse: a and h of the chunk are recomputed, then with G = dloss/dh (real and imaginary part as a
pair)

    G_t = conj(C_t) dy_t + K_t,   K_{t-1} = conj(a_t) G_t,
    dB_t = G_t u_t,   dC_t = dy_t conj(h_t),   du_t = Re(conj(B_t) G_t),
    q_t = conj(h_{t-1}) K_{t-1} = dloss/dlog a_t,   dA += q_t w_t,   dw_t = Re(conj(A) q_t).

Everything is held as real planes; P is 1 (real) or 2 (real part, imaginary part). A selective B or C is a number per
time step (an array (T,) here); a constant one is a number per channel (an array (1, W)). The two are told apart by
their number of axes, which Numba resolves when it compiles. Rows of work arrays never walk backwards in the loop that
also vectorises: LLVM would give up vectorising, so `_adjoint` looks its rows up in `order`.
"""

from src.ops.elementary import LOG2_E, exp2, exp_pi_i, log1p_unit
from src.ops.jit import jit

T_CHUNK = 16  # time steps between stored states
W_BLOCK = 128  # channels in one block
ROWS_FORWARD, ROWS_BACKWARD = 3, 12  # work arrays of (T_CHUNK + 1, W_BLOCK) that the two passes need


@jit
def _weight(B, t, d):
    if B.ndim == 1:
        return B[t]
    else:
        return B[0, d]


@jit
def _real_forward(w, u, S, B, C, h, y):
    """Advances h (W,) through w.shape[0] steps and adds C h to y. S = A log2(e)."""
    for t in range(w.shape[0]):
        for d in range(w.shape[1]):
            b = _weight(B, t, d)
            c = _weight(C, t, d)
            state = exp2(w[t, d] * S[d]) * h[d] + b * u[t, d]
            h[d] = state
            y[t, d] += c * state


@jit
def _complex_forward(w, u, S, V, Br, Bi, Cr, Ci, hr, hi, y):
    """As `_real_forward`; S = Re(A) log2(e) and V = Im(A) / pi."""
    for t in range(w.shape[0]):
        for d in range(w.shape[1]):
            br, bi = _weight(Br, t, d), _weight(Bi, t, d)
            cr, ci = _weight(Cr, t, d), _weight(Ci, t, d)
            size = exp2(w[t, d] * S[d])
            cos, sin = exp_pi_i(w[t, d] * V[d])
            ar, ai = size * cos, size * sin
            p, q = hr[d], hi[d]
            re = ar * p - ai * q + br * u[t, d]
            im = ar * q + ai * p + bi * u[t, d]
            hr[d], hi[d] = re, im
            y[t, d] += cr * re - ci * im


@jit
def _real_states(w, u, S, B, a, now, h):
    """a[t] and h[t], the state before step t; `now` carries the state through and ends as the last one, also in h[-1]."""
    T = w.shape[0]
    for t in range(T):
        for d in range(w.shape[1]):
            b = _weight(B, t, d)
            decay = exp2(w[t, d] * S[d])
            a[t, d] = decay
            h[t, d] = now[d]
            now[d] = decay * now[d] + b * u[t, d]
    h[T] = now


@jit
def _complex_states(w, u, S, V, Br, Bi, ar, ai, nr, ni, hr, hi):
    T = w.shape[0]
    for t in range(T):
        for d in range(w.shape[1]):
            br, bi = _weight(Br, t, d), _weight(Bi, t, d)
            size = exp2(w[t, d] * S[d])
            cos, sin = exp_pi_i(w[t, d] * V[d])
            x, y = size * cos, size * sin
            ar[t, d], ai[t, d] = x, y
            p, q = nr[d], ni[d]
            hr[t, d], hi[t, d] = p, q
            nr[d] = x * p - y * q + br * u[t, d]
            ni[d] = x * q + y * p + bi * u[t, d]
    hr[T] = nr
    hi[T] = ni


@jit
def _real_adjoint(order, dy, C, a, carry, G):
    """G[t] from the last step to the first; a[t] is overwritten by K_{t-1}."""
    for s in range(dy.shape[0]):
        t = order[s]
        for d in range(dy.shape[1]):
            c = _weight(C, t, d)
            g = c * dy[t, d] + carry[d]
            k = a[t, d] * g
            G[t, d] = g
            a[t, d] = k
            carry[d] = k


@jit
def _complex_adjoint(order, dy, Cr, Ci, ar, ai, kr, ki, Gr, Gi):
    for s in range(dy.shape[0]):
        t = order[s]
        for d in range(dy.shape[1]):
            cr, ci = _weight(Cr, t, d), _weight(Ci, t, d)
            p = cr * dy[t, d] + kr[d]
            q = ki[d] - ci * dy[t, d]
            x, y = ar[t, d], ai[t, d]
            re, im = x * p + y * q, x * q - y * p
            Gr[t, d], Gi[t, d] = p, q
            ar[t, d], ai[t, d] = re, im
            kr[d], ki[d] = re, im


@jit
def _real_gradients(w, A, B, K, h, G, dA, dw, du):
    for t in range(w.shape[0]):
        for d in range(w.shape[1]):
            b = _weight(B, t, d)
            q = h[t, d] * K[t, d]
            dA[d] += q * w[t, d]
            dw[t, d] += q * A[d]
            du[t, d] += b * G[t, d]


@jit
def _complex_gradients(w, Ar, Ai, Br, Bi, Kr, Ki, hr, hi, Gr, Gi, dAr, dAi, dw, du):
    for t in range(w.shape[0]):
        for d in range(w.shape[1]):
            br, bi = _weight(Br, t, d), _weight(Bi, t, d)
            p, q, x, y = hr[t, d], hi[t, d], Kr[t, d], Ki[t, d]
            re, im = p * x + q * y, p * y - q * x
            dAr[d] += re * w[t, d]
            dAi[d] += im * w[t, d]
            dw[t, d] += re * Ar[d] + im * Ai[d]
            du[t, d] += br * Gr[t, d] + bi * Gi[t, d]


@jit
def _add_products(sign, x, y, out):
    """out += sign x y, summed over channels when out is (T,) and over time when it is (1, W)."""
    if out.ndim == 1:
        for t in range(x.shape[0]):
            total = x.dtype.type(0)
            for d in range(x.shape[1]):
                total += x[t, d] * y[t, d]
            out[t] += sign * total
    else:
        for t in range(x.shape[0]):
            for d in range(x.shape[1]):
                out[0, d] += sign * x[t, d] * y[t, d]


@jit
def _steps(x, dt, bias, softplus, w, u):
    """One row: w = dt + bias, through softplus if asked, and u = w x."""
    real = x.dtype.type
    scale = real(-LOG2_E)
    for d in range(x.size):
        w[d] = dt[d]
    if bias.size > 0:
        for d in range(x.size):
            w[d] += bias[d]
    if softplus:
        for d in range(x.size):
            v = w[d]
            w[d] = max(v, real(0)) + log1p_unit(exp2(abs(v) * scale))
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
def forward(first, last, work, softplus, x, dt, bias, D, z, S, B, C, states, h, core, out):
    """The scan of sequences first..last-1; work: (ROWS_FORWARD, size) scratch of this thread.

    x, dt, z, core, out: (b, L, D); bias, D: (D,); an absent bias, D, z or core has no elements. S: (N, D) if real, (2, N, D) if
    complex, scaled as `_complex_forward` wants it; B, C: (P, b, N, L) or (P, N, D). states: (chunks, P, b, N, D), filled with the
    states that enter each chunk. h: (P, b, N, D), the initial state, which becomes the final one.
    """
    _, L, channels = x.shape
    for b in range(first, last):
        for d0 in range(0, channels, W_BLOCK):
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
                        _real_forward(w, u, S[n, d0:d1], Br, Cr, hr, y)
                    else:
                        Bi, Ci = _part(B, 1, b, n, t0, t1, d0, d1), _part(C, 1, b, n, t0, t1, d0, d1)
                        hi = h[1, b, n, d0:d1]
                        states[k, 1, b, n, d0:d1] = hi
                        _complex_forward(w, u, S[0, n, d0:d1], S[1, n, d0:d1], Br, Bi, Cr, Ci, hr, hi, y)
                for t in range(T):
                    r = t0 + t
                    _outputs(x[b, r, d0:d1], D[d0:d1], z[b, r, d0:d1], y[t], core[b, r, d0:d1], out[b, r, d0:d1])


@jit
def backward(
    first,
    last,
    work,
    order,
    softplus,
    x,
    dt,
    bias,
    D,
    z,
    A,
    S,
    B,
    C,
    states,
    core,
    dout,
    carry,
    dx,
    ddt,
    dz,
    dD,
    dA,
    dB,
    dC,
):
    """Gradients of `forward`; the arguments are the same, and A: (P, N, D) unscaled, order: T_CHUNK - 1, ..., 0.

    carry: (P, b, N, D), the gradient of the final state, which becomes that of the initial one. dx, ddt, dz are set; the sums
    dD: (b, D), dA: (P, b, N, D), dB, dC: (blocks, P, b, N, L) or (P, b, N, D) are added to.
    """
    _, L, channels = x.shape
    one = x.dtype.type(1)
    for b in range(first, last):
        for d0 in range(0, channels, W_BLOCK):
            d1, j = min(d0 + W_BLOCK, channels), d0 // W_BLOCK
            for back in range(states.shape[0]):
                k = states.shape[0] - 1 - back
                t0 = k * T_CHUNK
                t1 = min(t0 + T_CHUNK, L)
                T, W = t1 - t0, d1 - d0
                size = T * W
                w, u, dy = work[0, :size].reshape(T, W), work[1, :size].reshape(T, W), work[2, :size].reshape(T, W)
                dw, du, ar = work[3, :size].reshape(T, W), work[4, :size].reshape(T, W), work[5, :size].reshape(T, W)
                hr, Gr = work[7, : size + W].reshape(T + 1, W), work[9, :size].reshape(T, W)
                now = work[11, : 2 * W].reshape(2, W)
                late = order[T_CHUNK - T :]
                for t in range(T):
                    r = t0 + t
                    _steps(x[b, r, d0:d1], dt[b, r, d0:d1], bias[d0:d1], softplus, w[t], u[t])
                    _output_gradients(
                        x[b, r, d0:d1], D[d0:d1], z[b, r, d0:d1], core[b, r, d0:d1], dout[b, r, d0:d1],
                        dy[t], dz[b, r, d0:d1], dD[b, d0:d1], dx[b, r, d0:d1],
                    )  # fmt: skip
                dw[:] = 0
                du[:] = 0
                for n in range(states.shape[3]):
                    Br, dBr = _part(B, 0, b, n, t0, t1, d0, d1), _slot(dB, j, 0, b, n, t0, t1, d0, d1)
                    Cr, dCr = _part(C, 0, b, n, t0, t1, d0, d1), _slot(dC, j, 0, b, n, t0, t1, d0, d1)
                    Ar, dAr, kr = A[0, n, d0:d1], dA[0, b, n, d0:d1], carry[0, b, n, d0:d1]
                    now[0] = states[k, 0, b, n, d0:d1]
                    if S.ndim == 2:
                        _real_states(w, u, S[n, d0:d1], Br, ar, now[0], hr)
                        _real_adjoint(late, dy, Cr, ar, kr, Gr)
                        _real_gradients(w, Ar, Br, ar, hr, Gr, dAr, dw, du)
                    else:
                        ai, Gi = work[6, :size].reshape(T, W), work[10, :size].reshape(T, W)
                        hi = work[8, : size + W].reshape(T + 1, W)
                        Bi, dBi = _part(B, 1, b, n, t0, t1, d0, d1), _slot(dB, j, 1, b, n, t0, t1, d0, d1)
                        Ci, dCi = _part(C, 1, b, n, t0, t1, d0, d1), _slot(dC, j, 1, b, n, t0, t1, d0, d1)
                        Ai, dAi, ki = A[1, n, d0:d1], dA[1, b, n, d0:d1], carry[1, b, n, d0:d1]
                        now[1] = states[k, 1, b, n, d0:d1]
                        _complex_states(w, u, S[0, n, d0:d1], S[1, n, d0:d1], Br, Bi, ar, ai, now[0], now[1], hr, hi)
                        _complex_adjoint(late, dy, Cr, Ci, ar, ai, kr, ki, Gr, Gi)
                        _complex_gradients(w, Ar, Ai, Br, Bi, ar, ai, hr, hi, Gr, Gi, dAr, dAi, dw, du)
                        _add_products(one, u, Gi, dBi)
                        _add_products(-one, dy, hi[1:], dCi)
                    _add_products(one, u, Gr, dBr)
                    _add_products(one, dy, hr[1:], dCr)
                for t in range(T):
                    r = t0 + t
                    _step_gradients(
                        x[b, r, d0:d1], dt[b, r, d0:d1], bias[d0:d1], softplus, w[t], dw[t], du[t],
                        dx[b, r, d0:d1], ddt[b, r, d0:d1],
                    )  # fmt: skip
