"""The selective scan inside one chunk of T steps and W channels, one state n of all channels at a time.

With w the step and u = w x, forward

    a = exp(w A),   h <- a h + B u,   y += Re(C h),

and backward, where a and h are computed again and G = dloss/dh has its real and imaginary part as a pair,

    G_t = conj(C_t) dy_t + K_t,   K_{t-1} = conj(a_t) G_t,
    dB_t = G_t u_t,   dC_t = dy_t conj(h_t),   du_t = Re(conj(B_t) G_t),
    q_t = conj(h_{t-1}) K_{t-1} = dloss/dlog a_t,   dA += q_t w_t,   dw_t = Re(conj(A) q_t).

Channels are the lanes of every inner loop. A selective B or C is a number per time step, an array (T,) here; a
constant one is a number per channel, an array (1, W). Numba resolves which when it compiles. No loop that vectorises
walks its rows backwards, or LLVM would give up: the adjoints look their rows up in `order`.
"""

from ..elementary import exp2, exp_i
from ..jit import inlined


@inlined
def _weight(B, t, d):
    if B.ndim == 1:
        return B[t]
    else:
        return B[0, d]


@inlined
def real_forward(w, u, S, B, C, h, y):
    """Advances h (W,) through w.shape[0] steps and adds C h to y. S = A log2(e)."""
    for t in range(w.shape[0]):
        for d in range(w.shape[1]):
            b = _weight(B, t, d)
            c = _weight(C, t, d)
            state = exp2(w[t, d] * S[d]) * h[d] + b * u[t, d]
            h[d] = state
            y[t, d] += c * state


@inlined
def complex_forward(w, u, S, V, Br, Bi, Cr, Ci, hr, hi, y):
    """As `real_forward`; S = Re(A) log2(e) and V = Im(A)."""
    for t in range(w.shape[0]):
        for d in range(w.shape[1]):
            br, bi = _weight(Br, t, d), _weight(Bi, t, d)
            cr, ci = _weight(Cr, t, d), _weight(Ci, t, d)
            size = exp2(w[t, d] * S[d])
            cos, sin = exp_i(w[t, d] * V[d])
            ar, ai = size * cos, size * sin
            p, q = hr[d], hi[d]
            re = ar * p - ai * q + br * u[t, d]
            im = ar * q + ai * p + bi * u[t, d]
            hr[d], hi[d] = re, im
            y[t, d] += cr * re - ci * im


@inlined
def real_states(w, u, S, B, a, now, h):
    """a[t] and h[t], the state before step t; `now` carries the state through; the last one is h[T]."""
    T = w.shape[0]
    for t in range(T):
        for d in range(w.shape[1]):
            b = _weight(B, t, d)
            decay = exp2(w[t, d] * S[d])
            a[t, d] = decay
            h[t, d] = now[d]
            now[d] = decay * now[d] + b * u[t, d]
    h[T] = now


@inlined
def complex_states(w, u, S, V, Br, Bi, ar, ai, nr, ni, hr, hi):
    """As `real_states`, with real and imaginary parts as planes."""
    T = w.shape[0]
    for t in range(T):
        for d in range(w.shape[1]):
            br, bi = _weight(Br, t, d), _weight(Bi, t, d)
            size = exp2(w[t, d] * S[d])
            cos, sin = exp_i(w[t, d] * V[d])
            x, y = size * cos, size * sin
            ar[t, d], ai[t, d] = x, y
            p, q = nr[d], ni[d]
            hr[t, d], hi[t, d] = p, q
            nr[d] = x * p - y * q + br * u[t, d]
            ni[d] = x * q + y * p + bi * u[t, d]
    hr[T] = nr
    hi[T] = ni


@inlined
def real_adjoint(order, dy, C, a, carry, G):
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


@inlined
def complex_adjoint(order, dy, Cr, Ci, ar, ai, kr, ki, Gr, Gi):
    """As `real_adjoint`: the real part of conj(a) G and its imaginary part."""
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


@inlined
def real_gradients(w, A, B, K, h, G, dA, dw, du):
    """Adds q w to dA (W,), A q to dw and B G to du (T, W), where q = h K."""
    for t in range(w.shape[0]):
        for d in range(w.shape[1]):
            b = _weight(B, t, d)
            q = h[t, d] * K[t, d]
            dA[d] += q * w[t, d]
            dw[t, d] += q * A[d]
            du[t, d] += b * G[t, d]


@inlined
def complex_gradients(w, A, B, K, h, G, dA, dw, du):
    """As `real_gradients` for q = conj(h) K, with pairs (real, imaginary); the steps are real, so dw and du are real parts."""
    Ar, Ai = A
    Br, Bi = B
    Kr, Ki = K
    hr, hi = h
    Gr, Gi = G
    dAr, dAi = dA
    for t in range(w.shape[0]):
        for d in range(w.shape[1]):
            br, bi = _weight(Br, t, d), _weight(Bi, t, d)
            p, q, x, y = hr[t, d], hi[t, d], Kr[t, d], Ki[t, d]
            re, im = p * x + q * y, p * y - q * x
            dAr[d] += re * w[t, d]
            dAi[d] += im * w[t, d]
            dw[t, d] += re * Ar[d] + im * Ai[d]
            du[t, d] += br * Gr[t, d] + bi * Gi[t, d]


@inlined
def add_products(sign, x, y, row, out):
    """out += sign x y, summed over channels when out is (T,), over time when it is (1, W); row: (W,) scratch."""
    if out.ndim == 1:
        for t in range(x.shape[0]):
            total = x.dtype.type(0)
            for d in range(x.shape[1]):
                total += x[t, d] * y[t, d]
            out[t] += sign * total
    else:
        row[:] = 0
        for t in range(x.shape[0]):
            for d in range(x.shape[1]):
                row[d] += x[t, d] * y[t, d]
        add_row(sign, row, out[0])


@inlined
def add_row(sign, row, out):
    """out += sign row. Sums over time are made chunk by chunk, then added up: less rounding than one long sum."""
    for d in range(row.size):
        out[d] += sign * row[d]
