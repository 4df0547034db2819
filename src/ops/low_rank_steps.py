"""The loops of `low_rank_powers`, compiled: powers of D + p q on vectors, of a dense X on rows, and both in reverse.

Arrays are those of that file: d (H, n) in (Re, Im) halves, p, q (H, r, n), n = 2 N; everything is written in place.
"""

import numpy as np

from src.ops.jit import jit


@jit
def fine_steps(d, p, q, right, s, left):
    """Fills right[h, i, k] with A^k of its k = 0, s with q times that, left[h, i, k] with q D^(S-1-k), q at its end."""
    H, m, S, n = right.shape
    N, r = n // 2, p.shape[1]
    for h in range(H):
        for i in range(m):
            for k in range(S - 1):
                for j in range(N):
                    right[h, i, k + 1, j] = d[h, j] * right[h, i, k, j] - d[h, N + j] * right[h, i, k, N + j]
                for j in range(N):
                    right[h, i, k + 1, N + j] = d[h, N + j] * right[h, i, k, j] + d[h, j] * right[h, i, k, N + j]
                for l in range(r):
                    total = 0.0
                    for j in range(n):
                        total += q[h, l, j] * right[h, i, k, j]
                    s[h, i, k, l] = total
                    for j in range(n):
                        right[h, i, k + 1, j] += p[h, l, j] * total
        for l in range(r):
            for k in range(S - 1, 0, -1):
                for j in range(N):
                    left[h, l, k - 1, j] = d[h, j] * left[h, l, k, j] + d[h, N + j] * left[h, l, k, N + j]
                for j in range(N):
                    left[h, l, k - 1, N + j] = d[h, j] * left[h, l, k, N + j] - d[h, N + j] * left[h, l, k, j]


@jit
def fine_adjoint(d, p, q, right, s, grad_right, left, grad_left, grad_d, grad_p, grad_q):
    """Runs `fine_steps` backwards: gradients of every power in, of the first one and (added) of d, p and q out."""
    H, m, S, n = right.shape
    N, r = n // 2, p.shape[1]
    for h in range(H):
        for i in range(m):
            for k in range(S - 2, -1, -1):
                for j in range(N):
                    u, v = grad_right[h, i, k + 1, j], grad_right[h, i, k + 1, N + j]
                    a, b = right[h, i, k, j], right[h, i, k, N + j]
                    grad_d[h, j] += u * a + v * b
                    grad_d[h, N + j] += v * a - u * b
                    grad_right[h, i, k, j] += d[h, j] * u + d[h, N + j] * v
                    grad_right[h, i, k, N + j] += d[h, j] * v - d[h, N + j] * u
                for l in range(r):
                    total, factor = 0.0, s[h, i, k, l]
                    for j in range(n):
                        total += p[h, l, j] * grad_right[h, i, k + 1, j]
                    for j in range(n):
                        grad_right[h, i, k, j] += q[h, l, j] * total
                        grad_q[h, l, j] += right[h, i, k, j] * total
                        grad_p[h, l, j] += grad_right[h, i, k + 1, j] * factor
        for l in range(r):
            for k in range(1, S):
                for j in range(N):
                    u, v = grad_left[h, l, k - 1, j], grad_left[h, l, k - 1, N + j]
                    a, b = left[h, l, k, j], left[h, l, k, N + j]
                    grad_d[h, j] += u * a + v * b
                    grad_d[h, N + j] += u * b - v * a
                    grad_left[h, l, k, j] += d[h, j] * u - d[h, N + j] * v
                    grad_left[h, l, k, N + j] += d[h, N + j] * u + d[h, j] * v


@jit
def coarse_steps(X, x):
    """Fills x[h, i, 1:] with x[h, i, 0] X[h]^a, four rows of X at a time."""
    H, c, M, n = x.shape
    y = np.empty(n, x.dtype)
    for h in range(H):
        for i in range(c):
            for a in range(M - 1):
                y[:] = 0
                whole = n - n % 4
                for k in range(0, whole, 4):
                    e, f, g, o = x[h, i, a, k], x[h, i, a, k + 1], x[h, i, a, k + 2], x[h, i, a, k + 3]
                    for j in range(n):
                        y[j] += e * X[h, k, j] + f * X[h, k + 1, j] + g * X[h, k + 2, j] + o * X[h, k + 3, j]
                for k in range(whole, n):
                    for j in range(n):
                        y[j] += x[h, i, a, k] * X[h, k, j]
                for j in range(n):
                    x[h, i, a + 1, j] = y[j]


@jit
def coarse_adjoint(X, g):
    """Turns g, the gradient of every x X^a, into that of all it leads to: g_a + g_(a+1) X^T, from the last a down."""
    H, c, M, n = g.shape
    for h in range(H):
        for i in range(c):
            for a in range(M - 2, -1, -1):
                for j in range(n):
                    total = g[h, i, a, j]
                    for k in range(n):
                        total += X[h, j, k] * g[h, i, a + 1, k]
                    g[h, i, a, j] = total
