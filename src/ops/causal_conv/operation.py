"""Short causal depthwise convolution and SiLU, the filter in front of Mamba's scan (arXiv 2312.00752, Figure 3).

    v_t = bias + sum_k w_k x_{t-K+1+k},     y_t = v_t sigmoid(v_t)

The inputs before the first step come from a state: the K - 1 last inputs of the chunk before. On a CPU (`compiled`) and on
a GPU (`triton`) each direction is one pass; v is computed again in the backward pass, so nothing but x is kept.
"""

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from src.ops.backend import Operation, values_and_gradients
from src.ops.elementary import LOG2_E, exp2
from src.ops.jit import jit
from src.ops.precision import full_precision


def causal_conv_silu(
    x: Tensor, weight: Tensor, bias: Tensor, state: Tensor | None = None, backend: str | None = None
) -> tuple[Tensor, Tensor]:
    """Returns y (b, L, D) and the state after it (b, K - 1, D), in the widest dtype of the arguments, float32 or more.

    Args:
        x: (b, L, D).
        weight: (K, D); the last row meets the newest input.
        bias: (D,).
        state: (b, K - 1, D) the inputs before x; zero when None.
        backend: a form of `CAUSAL_CONV`; None is the one that `src.ops.backend` chooses for the device.

    Raises:
        ValueError: an unknown backend.
    """
    form, K = CAUSAL_CONV.on(x.device, backend), len(weight)
    state = x.new_zeros(len(x), K - 1, x.shape[2]) if state is None else state
    dtype = torch.float32
    for tensor in (x, weight, bias, state):
        dtype = torch.promote_types(dtype, tensor.dtype)
    x, weight, bias, state = (tensor.to(dtype) for tensor in (x, weight, bias, state))
    after = torch.cat([state[:, x.shape[1] :], x[:, -(K - 1) :]], 1) if K > 1 else state
    with full_precision(x):
        return form(x, weight, bias, state), after


def reference(x: Tensor, weight: Tensor, bias: Tensor, state: Tensor) -> Tensor:
    """The definition, one tap at a time. Shapes as in `causal_conv_silu`."""
    inputs, L = torch.cat([state, x], 1), x.shape[1]
    v = bias + sum(w * inputs[:, k : k + L] for k, w in enumerate(weight))
    return v * torch.sigmoid(v)


def library(x: Tensor, weight: Tensor, bias: Tensor, state: Tensor) -> Tensor:
    """By torch's own convolution, for any device."""
    inputs = torch.cat([state, x], 1).transpose(1, 2)
    v = F.conv1d(inputs, weight.T.unsqueeze(1), bias, groups=len(bias))
    return F.silu(v).transpose(1, 2)


def compiled(x: Tensor, weight: Tensor, bias: Tensor, state: Tensor) -> Tensor:
    """One compiled pass. CPU."""
    return _CausalConvSilu.apply(x, weight, bias, state)


def fused(x: Tensor, weight: Tensor, bias: Tensor, state: Tensor) -> Tensor:
    """One kernel. CUDA, or Triton's interpreter."""
    from src.ops.causal_conv.triton import FusedCausalConvSilu

    return FusedCausalConvSilu.apply(x, weight, bias, state)


def _probe(form: Callable[..., Tensor], device: torch.device) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    shapes = (2, 37, 5), (4, 5), (5,), (2, 3, 5)
    return values_and_gradients(
        form, [torch.randn(shape, generator=generator).to(device).requires_grad_() for shape in shapes]
    )


CAUSAL_CONV = Operation(
    "causal convolution",
    {"reference": reference, "torch": library, "compiled": compiled, "triton": fused},
    _probe,
)


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


@jit
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


@jit
def _add_rows(x, w, out):
    """out += x w for as many rows as both have."""
    for t in range(min(x.shape[0], out.shape[0])):
        for d in range(w.size):
            out[t, d] += x[t, d] * w[d]


@jit
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
