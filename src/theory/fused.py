"""The theory experiment as one persistent kernel: a program trains a run for as many steps as a launch asks for.

The mathematics of src/theory/compiled.py, arranged so that between two steps nothing goes through memory. A program holds theta,
Adam's moments and the table A^b, b < S, in registers, each thread with states n of its own. The powers A^(aS) are a chain over a, and
row a of the split t = aS + b is done with while the chain stands at a: its part of the response, its errors e, and what they add to the
adjoints,

    K[a, b] = sum_n w A^(aS) A^b,      S0 += A^(aS) sum_b e[a, b] A^b,      S1 += A^(aS) sum_b t e[a, b] A^b.

A step so costs L / S sums over the threads, and no table lies in memory. As in the compiled loop powers, S0, S1 and the loss are float64
whatever theta is, and the sums over n and b have the type of theta: an error in A grows t-fold in A^t.

Rows of theta are padded to a power of two with zeros, and so are its states: a padding state has w = 0, no gradient, and stays zero.
"""

import math

import numpy as np
import triton
import triton.language as tl

from ..ops.triton.elementary import _cis_of_turns, _turns
from ..ops.triton.launch import launch
from .buffers import Buffers
from .compiled import BETA1, BETA2, EPS
from .config import TheoryConfig

STEPS = 4096  # of one launch at most
WARPS = 8  # of one program at most: a thread can have 255 registers then
TABLE_BYTES = 128  # of a thread's part of the table A^b: more would spill
_BETA1, _BETA2, _EPS = tl.constexpr(BETA1), tl.constexpr(BETA2), tl.constexpr(EPS)


@triton.jit
def _row(x, i: tl.constexpr):
    """Row i of x (P, N), in float64."""
    rows = tl.arange(0, x.shape[0])[:, None]
    return tl.sum(tl.where(rows == i, x, 0), 0).to(tl.float64)


@triton.jit
def _with_row(x, i: tl.constexpr, values):
    """x (P, N) with `values` (N,) as its row i."""
    rows = tl.arange(0, x.shape[0])[:, None]
    return tl.where(rows == i, values[None, :].to(x.dtype), x)


@triton.jit
def _real(theta, signs, phi, L: tl.constexpr, LOG_S: tl.constexpr):
    """Loss and gradient (P, N) of a real run."""
    S: tl.constexpr = 2**LOG_S
    rate, B, C = tl.exp(_row(theta, 0)), _row(theta, 1), _row(theta, 2)
    b = tl.arange(0, S)
    G = signs * tl.exp(-rate)  # A, squared up to A^S
    Q = tl.full([S, theta.shape[1]], 1, tl.float64)
    for j in tl.static_range(LOG_S):
        Q = tl.where((b[:, None] >> j) & 1 > 0, Q * G[None, :], Q)
        G = G * G
    Q = Q.to(theta.dtype)
    power, S0, S1 = tl.full([theta.shape[1]], 1, tl.float64), tl.zeros_like(rate), tl.zeros_like(rate)
    w, loss = B * C, tl.full([S], 0, tl.float64)
    for a in range(tl.cdiv(L, S)):
        t = a * S + b
        goal = tl.load(phi + t, mask=t < L, other=0)
        P = (w * power).to(theta.dtype)
        d = tl.where(t < L, tl.sum(P[None, :] * Q, 1) - goal, 0)
        loss += d.to(tl.float64) * d.to(tl.float64)
        e = 2 * d
        S0 += power * tl.sum(e[:, None] * Q, 0).to(tl.float64)
        S1 += power * tl.sum((t.to(e.dtype) * e)[:, None] * Q, 0).to(tl.float64)
        power *= G
    g = _with_row(_with_row(_with_row(tl.zeros_like(theta), 0, -rate * w * S1), 1, S0 * C), 2, S0 * B)
    return tl.sum(loss, 0), g


@triton.jit
def _complex(theta, phi, L: tl.constexpr, LOG_S: tl.constexpr):
    """Loss and gradient (P, N) of a complex run; names end in r and i for real and imaginary parts, and w has the 2 of 2 Re."""
    S: tl.constexpr = 2**LOG_S
    rate, angle = tl.exp(_row(theta, 0)), _row(theta, 1)
    Br, Bi, Cr, Ci = _row(theta, 2), _row(theta, 3), _row(theta, 4), _row(theta, 5)
    wr, wi = 2 * (Br * Cr - Bi * Ci), 2 * (Br * Ci + Bi * Cr)
    b = tl.arange(0, S)
    radius = tl.exp(-rate) + 0 * angle  # an angle that is no number must not pass for one
    cos, sin = _cis_of_turns(_turns(angle), tl.float64)
    Gr, Gi = radius * cos, radius * sin
    Qr = tl.full([S, theta.shape[1]], 1, tl.float64)
    Qi = tl.zeros_like(Qr)
    for j in tl.static_range(LOG_S):
        bit = (b[:, None] >> j) & 1 > 0
        r, i = Qr * Gr[None, :] - Qi * Gi[None, :], Qr * Gi[None, :] + Qi * Gr[None, :]
        Qr, Qi = tl.where(bit, r, Qr), tl.where(bit, i, Qi)
        Gr, Gi = Gr * Gr - Gi * Gi, 2 * Gr * Gi
    Qr, Qi = Qr.to(theta.dtype), Qi.to(theta.dtype)
    pr, pi = tl.full([theta.shape[1]], 1, tl.float64), tl.zeros_like(rate)  # A^(aS)
    S0r, S0i, S1r, S1i = pi, pi, pi, pi
    loss = tl.full([S], 0, tl.float64)
    for a in range(tl.cdiv(L, S)):
        t = a * S + b
        goal = tl.load(phi + t, mask=t < L, other=0)
        Pr, Pi = (wr * pr - wi * pi).to(theta.dtype), (wr * pi + wi * pr).to(theta.dtype)
        d = tl.where(t < L, tl.sum(Pr[None, :] * Qr - Pi[None, :] * Qi, 1) - goal, 0)
        loss += d.to(tl.float64) * d.to(tl.float64)
        e = (2 * d)[:, None]
        te = t.to(e.dtype)[:, None] * e
        xr, xi = tl.sum(e * Qr, 0).to(tl.float64), tl.sum(e * Qi, 0).to(tl.float64)
        yr, yi = tl.sum(te * Qr, 0).to(tl.float64), tl.sum(te * Qi, 0).to(tl.float64)
        S0r, S0i = S0r + (pr * xr - pi * xi), S0i + (pr * xi + pi * xr)
        S1r, S1i = S1r + (pr * yr - pi * yi), S1i + (pr * yi + pi * yr)
        pr, pi = pr * Gr - pi * Gi, pr * Gi + pi * Gr
    ur, ui = 2 * S0r, -2 * S0i  # dloss/dRe w + i dloss/dIm w
    g = _with_row(tl.zeros_like(theta), 0, -rate * (wr * S1r - wi * S1i))
    g = _with_row(g, 1, -(wr * S1i + wi * S1r))
    g = _with_row(_with_row(g, 2, ur * Cr + ui * Ci), 3, ui * Cr - ur * Ci)
    g = _with_row(_with_row(g, 4, ur * Br + ui * Bi), 5, ui * Br - ur * Bi)
    return tl.sum(loss, 0), g


@triton.jit
def _adam(theta, m, v, g, numerator, scale, decay):
    """One step of Adam, AdamW or RAdam with the three numbers of `Buffers.step_sizes`; returns theta, m and v."""
    m = _BETA1 * m + (1 - _BETA1) * g
    v = _BETA2 * v + (1 - _BETA2) * g * g
    denominator = tl.where(scale > 0, tl.sqrt(v) * scale.to(v.dtype) + _EPS, 1)
    return decay.to(theta.dtype) * theta - numerator.to(theta.dtype) * m / denominator, m, v


@triton.jit(do_not_specialize=["count", "R"])
def train(
    theta_at,
    m_at,
    v_at,
    total_at,
    best_theta_at,
    best_loss_at,
    best_step_at,
    loss_at,
    step_at,
    signs_at,
    phi_at,
    accumulates_at,
    sizes_at,
    count,
    R,
    N: tl.constexpr,
    L: tl.constexpr,
    LOG_S: tl.constexpr,
    COMPLEX: tl.constexpr,
    ACCUMULATES: tl.constexpr,
    N_PADDED: tl.constexpr,
):
    """Trains run number `program_id(0)` of R for `count` steps; the arguments are those of `compiled.train` with a leading axis R.

    sizes: (count, R, 3) of `Buffers.step_sizes`. A run whose loss is not finite stays as it is.
    """
    run = tl.program_id(0).to(tl.int64)
    P: tl.constexpr = 6 if COMPLEX else 3
    row, n = tl.arange(0, 8 if COMPLEX else 4)[:, None], tl.arange(0, N_PADDED)
    inside = (row < P) & (n[None, :] < N)
    entry = (run * P + row) * N + n[None, :]
    theta = tl.load(theta_at + entry, mask=inside, other=0)
    m, v = tl.load(m_at + entry, mask=inside, other=0), tl.load(v_at + entry, mask=inside, other=0)
    loss, best, best_step = tl.load(loss_at + run), tl.load(best_loss_at + run), tl.load(best_step_at + run)
    step, phi, sizes = tl.load(step_at + run), phi_at + run * L, sizes_at + 3 * run
    if ACCUMULATES:
        accumulates, total = tl.load(accumulates_at + run), tl.load(total_at + entry, mask=inside, other=0)
    if not COMPLEX:
        signs = tl.load(signs_at + run * N + n, mask=n < N, other=0)
    for k in range(count):
        numerator, scale, decay = tl.load(sizes), tl.load(sizes + 1), tl.load(sizes + 2)
        if COMPLEX:
            loss, g = _complex(theta, phi, L, LOG_S)
        else:
            loss, g = _real(theta, signs, phi, L, LOG_S)
        if loss < float("inf"):
            if loss < best:
                best, best_step = loss, step + k
                tl.store(best_theta_at + entry, theta, mask=inside)
            if ACCUMULATES:
                total += tl.where(accumulates, g, 0)
                g = tl.where(accumulates, total, g)
            theta, m, v = _adam(theta, m, v, g, numerator, scale, decay)
        sizes += 3 * R
    tl.store(theta_at + entry, theta, mask=inside)
    tl.store(m_at + entry, m, mask=inside)
    tl.store(v_at + entry, v, mask=inside)
    if ACCUMULATES:
        tl.store(total_at + entry, total, mask=inside)
    tl.store(loss_at + run, loss)
    tl.store(best_loss_at + run, best)
    tl.store(best_step_at + run, best_step)
    tl.store(step_at + run, step + count)


def fits(config: TheoryConfig) -> bool:
    """Tells whether a run fits into the registers of one program: up to 256 complex states, 1024 real ones (float64: 512), at any L."""
    most = 256 if config.complex_option else 4096 // np.dtype(config.dtype).itemsize
    return most >= config.N


class FusedFit(Buffers):
    """Runs of one shape that `fits`, a program each: the card's multiprocessors share them, and none waits for another."""

    def _train(self, count: int) -> None:
        for done in range(0, count, STEPS):
            self._launch(min(STEPS, count - done))

    def _launch(self, count: int) -> None:
        N = max(32, triton.next_power_of_2(self.N))
        warps = min(WARPS, N // 32)
        room = (TABLE_BYTES // self.theta.itemsize) // (N // (32 * warps) * (1 + self.complex))  # entries b
        launch(
            train,
            (len(self.lr),),
            *(self.theta, self.m, self.v, self.total, self.best_theta, self.best_loss, self.best_step),
            *(self.loss, self.step, self.signs, self.phi, self.accumulates, self.step_sizes(count)),
            *(count, len(self.lr)),
            N=self.N,
            L=self.L,
            LOG_S=min(math.ceil(math.log2(self.L) / 2), int(math.log2(room))),
            COMPLEX=self.complex,
            ACCUMULATES=self.any_accumulates,
            N_PADDED=N,
            num_warps=warps,
            num_stages=1,
        )
