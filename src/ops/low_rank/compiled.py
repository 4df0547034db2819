"""The `Steps` of S4's kernel on a CPU: one compiled loop each; `steps` says what they do and on which arrays."""

from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from torch import Tensor

from ..jit import jit
from .steps import Steps


@jit
def _fine(d, p, q, right, left):
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
                    for j in range(n):
                        right[h, i, k + 1, j] += p[h, l, j] * total
        for l in range(r):
            for k in range(S - 1, 0, -1):
                for j in range(N):
                    left[h, l, k - 1, j] = d[h, j] * left[h, l, k, j] + d[h, N + j] * left[h, l, k, N + j]
                for j in range(N):
                    left[h, l, k - 1, N + j] = d[h, j] * left[h, l, k, N + j] - d[h, N + j] * left[h, l, k, j]


@jit
def _fine_adjoint(d, p, q, right, left, grad_right, grad_left, grad_d, grad_p, grad_q):
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
                    total, factor = 0.0, 0.0
                    for j in range(n):
                        total += p[h, l, j] * grad_right[h, i, k + 1, j]
                        factor += q[h, l, j] * right[h, i, k, j]
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
def _coarse(X, x):
    """Four rows of X at a time."""
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
def _coarse_adjoint(X, g):
    H, c, M, n = g.shape
    for h in range(H):
        for i in range(c):
            for a in range(M - 2, -1, -1):
                for j in range(n):
                    total = g[h, i, a, j]
                    for k in range(n):
                        total += X[h, j, k] * g[h, i, a + 1, k]
                    g[h, i, a, j] = total


def _run(loop: Callable[..., None], *tensors: Tensor) -> None:
    loop(*(tensor.numpy() for tensor in tensors))


def _fine_gradients(
    d: Tensor, p: Tensor, q: Tensor, right: Tensor, left: Tensor, grad_right: Tensor, grad_left: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    grads = torch.zeros_like(d), torch.zeros_like(p), torch.zeros_like(q)
    _run(_fine_adjoint, d, p, q, right, left, grad_right, grad_left, *grads)
    return grads


COMPILED = Steps(partial(_run, _fine), _fine_gradients, partial(_run, _coarse), partial(_run, _coarse_adjoint))
