"""The causal convolution and SiLU on a CPU: each direction is one compiled pass."""

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from ..elementary import LOG2_E, exp2
from ..jit import inlined, jit


def compiled(x: Tensor, weight: Tensor, bias: Tensor, state: Tensor) -> Tensor:
    """One compiled pass. CPU."""
    return _CausalConvSilu.apply(x, weight, bias, state)


class _CausalConvSilu(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor, weight: Tensor, bias: Tensor, state: Tensor) -> Tensor:
        x, weight, bias, state = (tensor.contiguous() for tensor in (x, weight, bias, state))
        y = torch.empty_like(x)
        _forward(*(tensor.detach().numpy() for tensor in (x, weight, bias, state, y)))
        ctx.save_for_backward(x, weight, bias, state)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx, dy: Tensor) -> tuple[Tensor, ...]:
        x, weight, bias, state = ctx.saved_tensors
        dx, dstate = torch.empty_like(x), torch.zeros_like(state)
        dweight, dbias = x.new_zeros(len(x), *weight.shape), x.new_zeros(len(x), len(bias))
        tensors = (x, weight, bias, state, dy.contiguous(), dx, dstate, dweight, dbias)
        _backward(*(tensor.detach().numpy() for tensor in tensors))
        return dx, dweight.sum(0), dbias.sum(0), dstate


@inlined
def _filter(x, weight, bias, state, v):
    """v of one sequence; x: (L, D), state: (K - 1, D)."""
    L, D = x.shape
    K = weight.shape[0]
    for t in range(L):
        for d in range(D):
            v[t, d] = bias[d]
    for k in range(K):
        late = K - 1 - k  # how far back tap k looks
        _add_rows(state[k:], weight[k], v[:late])
        _add_rows(x, weight[k], v[late:])


@inlined
def _add_rows(x, w, out):
    """out += x w for as many rows as both have."""
    for t in range(min(x.shape[0], out.shape[0])):
        for d in range(w.size):
            out[t, d] += x[t, d] * w[d]


@inlined
def _add_sums(x, g, out):
    """out += sum over rows of x g."""
    for t in range(min(x.shape[0], g.shape[0])):
        for d in range(out.size):
            out[d] += x[t, d] * g[t, d]


@jit
def _forward(x, weight, bias, state, y):
    one, scale = x.dtype.type(1), x.dtype.type(-LOG2_E)
    for b in range(x.shape[0]):
        v = y[b]
        _filter(x[b], weight, bias, state[b], v)
        for t in range(v.shape[0]):
            for d in range(v.shape[1]):
                v[t, d] = v[t, d] / (one + exp2(v[t, d] * scale))


@jit
def _backward(x, weight, bias, state, dy, dx, dstate, dweight, dbias):
    """dweight: (b, K, D) and dbias: (b, D), one row for each sequence."""
    one, scale = x.dtype.type(1), x.dtype.type(-LOG2_E)
    g = np.empty(x.shape[1:], x.dtype)
    K = weight.shape[0]
    for b in range(x.shape[0]):
        _filter(x[b], weight, bias, state[b], g)
        dyb, db = dy[b], dbias[b]
        for t in range(g.shape[0]):
            for d in range(g.shape[1]):
                v = g[t, d]
                sigmoid = one / (one + exp2(v * scale))
                slope = dyb[t, d] * (sigmoid * (one + v * (one - sigmoid)))
                g[t, d] = slope
                db[d] += slope
        dx[b] = 0
        for k in range(K):
            late = K - 1 - k
            _add_rows(g[late:], weight[k], dx[b])
            _add_sums(x[b], g[late:], dweight[b, k])
            _add_rows(g[:late], weight[k], dstate[b, k:])
            _add_sums(state[b, k:], g[:late], dweight[b, k])
