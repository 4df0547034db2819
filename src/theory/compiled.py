"""Impulse response, loss gradient and optimizer of the theory experiment as compiled loops, thousands of steps a call.

P2 (arXiv 2410.14067, Appendices C and F.1) fits the first L entries of the impulse response of a diagonal SSM,

    real:      K_t = sum_n w_n A_n^t,          A = s exp(-exp(rho)),             w = C o B
    complex:   K_t = 2 Re sum_n w_n A_n^t,     A = exp(-exp(rho) + i angle),     w = C o B

to a target phi by gradient descent on ||K - phi||_2^2. With e = dloss/dK the whole gradient follows from two sums per state,

    S0 = sum_t e_t A^t,   S1 = sum_t t e_t A^t:      dloss/dw = S0,   dloss/dlog A = w S1.

With t = a S + b and S ~ sqrt(L) the powers factor, A^t = (A^S)^a A^b, so all three sums are products of small tables: (T x M)(M x S)
for the response, (T x S)(S x M) for the adjoints and Horner's rule over a. M holds the N states (complex: real parts, then imaginary
parts), which lets both fields share the products. Tables are built in float64 and rounded once, and Horner's rule stays in float64,
because an error in A grows t-fold in A^t.

Rows of the parameter array theta (P, N): real (rho, B, C); complex (rho, angle, Re B, Im B, Re C, Im C).
"""

import math

import numpy as np

from ..ops.elementary import exp2, exp_i
from ..ops.jit import inlined, jit

TILE = 4  # table products work on TILE x TILE outputs held in registers
ADAM, ADAMW, RADAM = 0, 1, 2
LOG2_E = math.log2(math.e)
BETA1, BETA2, EPS, WEIGHT_DECAY = 0.9, 0.999, 1e-8, 0.01  # the defaults of torch.optim; weight decay acts in AdamW only


@inlined
def split(L):
    """Returns (T, S), multiples of TILE with T * S >= L and S ~ sqrt(L): the split t = a S + b."""
    S = TILE * math.ceil(math.sqrt(L) / TILE)
    return TILE * math.ceil(L / (TILE * S)), S


@inlined
def _response(P, Q, K):
    """K[a, b] = sum_m P[a, m] Q[b, m]: inner products over the states, TILE x TILE of them at once."""
    T, M = P.shape
    for a in range(0, T, 4):
        for b in range(0, Q.shape[0], 4):
            z = P.dtype.type(0)
            k00 = k01 = k02 = k03 = k10 = k11 = k12 = k13 = k20 = k21 = k22 = k23 = k30 = k31 = k32 = k33 = z
            for m in range(M):
                p0, p1, p2, p3 = P[a, m], P[a + 1, m], P[a + 2, m], P[a + 3, m]
                q0, q1, q2, q3 = Q[b, m], Q[b + 1, m], Q[b + 2, m], Q[b + 3, m]
                k00 += p0 * q0
                k01 += p0 * q1
                k02 += p0 * q2
                k03 += p0 * q3
                k10 += p1 * q0
                k11 += p1 * q1
                k12 += p1 * q2
                k13 += p1 * q3
                k20 += p2 * q0
                k21 += p2 * q1
                k22 += p2 * q2
                k23 += p2 * q3
                k30 += p3 * q0
                k31 += p3 * q1
                k32 += p3 * q2
                k33 += p3 * q3
            K[a, b], K[a, b + 1], K[a, b + 2], K[a, b + 3] = k00, k01, k02, k03
            K[a + 1, b], K[a + 1, b + 1], K[a + 1, b + 2], K[a + 1, b + 3] = k10, k11, k12, k13
            K[a + 2, b], K[a + 2, b + 1], K[a + 2, b + 2], K[a + 2, b + 3] = k20, k21, k22, k23
            K[a + 3, b], K[a + 3, b + 1], K[a + 3, b + 2], K[a + 3, b + 3] = k30, k31, k32, k33


@inlined
def _adjoints(e, Q, X, Y):
    """X[a, m] = sum_b e[a, b] Q[b, m] and Y[a, m] = sum_b t e[a, b] Q[b, m], t = a S + b; both share the loads of Q."""
    T, S = e.shape
    real = Q.dtype.type
    for a in range(0, T, 2):
        for b in range(0, S, 4):
            e00, e01, e02, e03 = e[a, b], e[a, b + 1], e[a, b + 2], e[a, b + 3]
            e10, e11, e12, e13 = e[a + 1, b], e[a + 1, b + 1], e[a + 1, b + 2], e[a + 1, b + 3]
            t = a * S + b
            f00, f01, f02, f03 = real(t) * e00, real(t + 1) * e01, real(t + 2) * e02, real(t + 3) * e03
            t += S
            f10, f11, f12, f13 = real(t) * e10, real(t + 1) * e11, real(t + 2) * e12, real(t + 3) * e13
            keep = real(b > 0)  # the first block overwrites what the last step left
            for m in range(Q.shape[1]):
                q0, q1, q2, q3 = Q[b, m], Q[b + 1, m], Q[b + 2, m], Q[b + 3, m]
                X[a, m] = keep * X[a, m] + e00 * q0 + e01 * q1 + e02 * q2 + e03 * q3
                Y[a, m] = keep * Y[a, m] + f00 * q0 + f01 * q1 + f02 * q2 + f03 * q3
                X[a + 1, m] = keep * X[a + 1, m] + e10 * q0 + e11 * q1 + e12 * q2 + e13 * q3
                Y[a + 1, m] = keep * Y[a + 1, m] + f10 * q0 + f11 * q1 + f12 * q2 + f13 * q3


@inlined
def _powers_real(chain, A, table):
    """table[k] = chain A^k for all rows k (a multiple of TILE); chain is left at the next power."""
    for k in range(0, table.shape[0], 4):
        t0, t1, t2, t3 = table[k], table[k + 1], table[k + 2], table[k + 3]
        for n in range(A.size):
            c0 = chain[n]
            c1 = c0 * A[n]
            c2 = c1 * A[n]
            c3 = c2 * A[n]
            t0[n], t1[n], t2[n], t3[n] = c0, c1, c2, c3
            chain[n] = c3 * A[n]


@inlined
def _powers_complex(xr, xi, Ar, Ai, table, fr, fi):
    """As `_powers_real` for x A^k; a row of the table holds fr Re, then fi Im."""
    N = Ar.size
    for k in range(table.shape[0]):
        re, im = table[k, :N], table[k, N:]
        for n in range(N):
            x, y = xr[n], xi[n]
            re[n], im[n] = fr * x, fi * y
            xr[n], xi[n] = x * Ar[n] - y * Ai[n], x * Ai[n] + y * Ar[n]


@inlined
def _horner_real(S, G, x3, x2, x1, x0):
    """Four steps of Horner's rule, S <- S G + x, from the highest power down."""
    for n in range(S.size):
        S[n] = (((S[n] * G[n] + x3[n]) * G[n] + x2[n]) * G[n] + x1[n]) * G[n] + x0[n]


@inlined
def _horner_complex(Sr, Si, Gr, Gi, xr, xi):
    for n in range(Sr.size):
        p, q = Sr[n], Si[n]
        Sr[n], Si[n] = p * Gr[n] - q * Gi[n] + xr[n], p * Gi[n] + q * Gr[n] + xi[n]


@inlined
def _real_tables(theta, signs, rate, A, chain, w, P, Q, G):
    """Q[b] = A^b, G = A^S and P[a] = w G^a for A = s exp(-rate), rate = exp(rho). Float64 inside, rounded once into P, Q and G."""
    N = A.size
    for n in range(N):
        rate[n] = exp2(LOG2_E * theta[0, n])
    for n in range(N):
        A[n] = signs[n] * exp2(-LOG2_E * rate[n])
        w[n] = np.float64(theta[1, n]) * theta[2, n]
    chain[:] = 1.0
    _powers_real(chain, A, Q)
    G[:] = chain
    _powers_real(w, chain, P)


@inlined
def _real_gradient(theta, rate, G, X, Y, S0, S1, g):
    """Horner's rule over a turns the adjoints into S0, S1 (N,), and these give the gradient g (3, N)."""
    S0[:] = 0
    S1[:] = 0
    for i in range(X.shape[0] // 4):
        a = X.shape[0] - 4 * (i + 1)
        _horner_real(S0, G, X[a + 3], X[a + 2], X[a + 1], X[a])
        _horner_real(S1, G, Y[a + 3], Y[a + 2], Y[a + 1], Y[a])
    for n in range(S0.size):
        B, C = theta[1, n], theta[2, n]
        g[0, n] = -rate[n] * (B * C * S1[n])
        g[1, n] = S0[n] * C
        g[2, n] = S0[n] * B


@inlined
def _complex_tables(theta, rate, A, chain, w, P, Q, G):
    """As `_real_tables` for A = exp(-rate + i angle). Rows of P are 2 (Re, -Im) and rows of Q (Re, Im), so that P Q^T = 2 Re."""
    N = rate.size
    Ar, Ai, cr, ci, wr, wi = A[:N], A[N:], chain[:N], chain[N:], w[:N], w[N:]
    for n in range(N):
        rate[n] = exp2(LOG2_E * theta[0, n])
    for n in range(N):
        r = exp2(-LOG2_E * rate[n])
        cos, sin = exp_i(np.float64(theta[1, n]))
        Ar[n], Ai[n] = r * cos, r * sin
    for n in range(N):
        br, bi = np.float64(theta[2, n]), np.float64(theta[3, n])
        wr[n], wi[n] = br * theta[4, n] - bi * theta[5, n], br * theta[5, n] + bi * theta[4, n]
    cr[:] = 1.0
    ci[:] = 0.0
    _powers_complex(cr, ci, Ar, Ai, Q, 1.0, 1.0)
    G[:] = chain
    _powers_complex(wr, wi, cr, ci, P, 2.0, -2.0)


@inlined
def _complex_gradient(theta, rate, G, X, Y, S0, S1, g):
    """Horner's rule over a, then the chain rule through w = B C and log A = -exp(rho) + i angle; g is (6, N)."""
    N = rate.size
    Gr, Gi, S0r, S0i, S1r, S1i = G[:N], G[N:], S0[:N], S0[N:], S1[:N], S1[N:]
    S0[:] = 0
    S1[:] = 0
    for i in range(X.shape[0]):
        x, y = X[X.shape[0] - 1 - i], Y[X.shape[0] - 1 - i]
        _horner_complex(S0r, S0i, Gr, Gi, x[:N], x[N:])
        _horner_complex(S1r, S1i, Gr, Gi, y[:N], y[N:])
    for n in range(N):
        br, bi, cr, ci = theta[2, n], theta[3, n], theta[4, n], theta[5, n]
        wr, wi = 2 * (br * cr - bi * ci), 2 * (br * ci + bi * cr)
        g[0, n] = -rate[n] * (wr * S1r[n] - wi * S1i[n])
        g[1, n] = -(wr * S1i[n] + wi * S1r[n])
    for n in range(N):
        ur, ui = 2 * S0r[n], -2 * S0i[n]  # dloss/dRe w + i dloss/dIm w
        br, bi, cr, ci = theta[2, n], theta[3, n], theta[4, n], theta[5, n]
        g[2, n], g[3, n] = ur * cr + ui * ci, ui * cr - ur * ci
        g[4, n], g[5, n] = ur * br + ui * bi, ui * br - ur * bi


@inlined
def _update(theta, g, m, v, opt, step, lr):
    """One step (counted from 1) of Adam, AdamW or RAdam on flat arrays, with torch.optim's formulas and order of operations."""
    real = theta.dtype.type
    c1, c2 = 1.0 - BETA1**step, 1.0 - BETA2**step
    root = math.sqrt(c2)
    numerator, scale, eps = lr / c1, 1.0 / root, EPS
    momentum_only = False
    if opt == RADAM:
        rho_inf = 2.0 / (1.0 - BETA2) - 1.0
        rho = rho_inf - 2.0 * step * BETA2**step / c2
        momentum_only = rho <= 5.0
        if not momentum_only:
            rect = math.sqrt((rho - 4.0) * (rho - 2.0) * rho_inf / ((rho_inf - 4.0) * (rho_inf - 2.0) * rho))
            numerator, scale = numerator * rect * root, 1.0
    decay = real(1.0 - lr * WEIGHT_DECAY if opt == ADAMW else 1.0)
    b1, b2, a1, a2 = real(BETA1), real(BETA2), real(1.0 - BETA1), real(1.0 - BETA2)
    up, scale_, eps_, one = real(numerator), real(scale), real(eps), real(1)
    for i in range(theta.size):
        m[i] = b1 * m[i] + a1 * g[i]
        v[i] = b2 * v[i] + a2 * g[i] * g[i]
        denominator = one if momentum_only else np.sqrt(v[i]) * scale_ + eps_
        theta[i] = decay * theta[i] - up * m[i] / denominator


@jit
def train(theta, signs, phi, m, v, total, best, best_theta, step, count, horizon, lr, opt, zero_grad):
    """Trains `count` steps from step number `step` on; all arrays change in place.

    theta, m, v, total, best_theta: (P, N) parameters, Adam's moments, accumulated gradient, parameters at the smallest loss;
    signs: (N,) +-1 for real A, empty for complex; phi: (L,) target; best: (2,) float64 smallest loss and its step;
    horizon, lr: length and start of the cosine schedule; zero_grad False keeps adding gradients up (the code of P2 as published).
    Returns the loss before the last update; stops early at a loss that is not finite and returns it.
    """
    L, N = phi.size, theta.shape[1]
    T, S = split(L)
    M = N if signs.size else 2 * N
    P, Q = np.empty((T, M), theta.dtype), np.empty((S, M), theta.dtype)
    X, Y = np.zeros((T, M), theta.dtype), np.zeros((T, M), theta.dtype)
    rate, A, chain, w = np.empty(N), np.empty(M), np.empty(M), np.empty(M)
    G, S0, S1 = np.empty(M), np.empty(M), np.empty(M)
    g = np.empty(theta.shape, theta.dtype)
    e = np.empty((T, S), theta.dtype)
    target = np.zeros(T * S, theta.dtype)
    target[:L] = phi
    loss = np.inf
    for k in range(step, step + count):
        if signs.size:
            _real_tables(theta, signs, rate, A, chain, w, P, Q, G)
        else:
            _complex_tables(theta, rate, A, chain, w, P, Q, G)
        _response(P, Q, e)
        flat = e.reshape(-1)
        loss = 0.0
        for t in range(T * S):
            d = flat[t] - target[t] if t < L else theta.dtype.type(0)
            loss += np.float64(d) * d
            flat[t] = d + d
        if not loss < np.inf:
            return loss
        if loss < best[0]:
            best[0], best[1] = loss, k
            best_theta[:] = theta
        _adjoints(e, Q, X, Y)
        if signs.size:
            _real_gradient(theta, rate, G, X, Y, S0, S1, g)
        else:
            _complex_gradient(theta, rate, G, X, Y, S0, S1, g)
        if not zero_grad:
            total += g
            g[:] = total
        lr_k = lr * 0.5 * (1.0 + math.cos(math.pi * k / horizon))
        _update(theta.reshape(-1), g.reshape(-1), m.reshape(-1), v.reshape(-1), opt, k + 1, lr_k)
    return loss
