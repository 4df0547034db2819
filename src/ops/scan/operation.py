"""Linear recurrence h_t = a_t h_{t-1} + b_t over a sequence, differentiable in a, b and h0.

With g_t = dloss/dh_t, accumulated over all later times, the adjoint is the same recurrence run backwards; complex
values need the conjugates:

    g_t = (dloss/dh_t)_direct + conj(a_{t+1}) g_{t+1},
    da_t = g_t conj(h_{t-1}),    db_t = g_t,    dh0 = conj(a_1) g_1.

Four ways to compute it, one answer. `reference` is the definition. `compiled` (CPU) runs through time once, all states
of a row at a time. `torch` (any device) cuts time into S chunks of T ~ sqrt(L) steps, runs all chunks at once from zero
and then adds what enters each chunk: T + S short steps. `triton` (CUDA) holds all states of all rows in registers and
runs through time once, or twice where there are so few of them that time has to be cut. Nothing divides by a product of
a, so vanishing products are as exact as any other. The sequence h is the output, so O(B L N) memory is needed anyway;
the backward pass stores nothing else of that size.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from ..backend import Operation, values_and_gradients
from .compiled import compiled_backward, compiled_forward
from .reference import scan_reference
from .torch import chunked_backward, chunked_forward


def scan(a: Tensor, b: Tensor, h0: Tensor | None = None, reverse: bool = False, backend: str | None = None) -> Tensor:
    """Returns all states h of h_t = a_t h_{t-1} + b_t; the last state is h[..., -1, :].

    Args:
        a: (..., L, N), real or complex, or anything that broadcasts to the shape of b, such as (N,) for a recurrence
            that does not depend on time.
        b: (..., L, N), real or complex, L >= 1.
        h0: (..., N), the state before the first step; zero when None.
        reverse: run from the end, h_t = a_t h_{t+1} + b_t; h0 then stands behind the last step and the last state is
            h[..., 0, :].
        backend: a form of `SCAN`; None is the one that `src.ops.backend` chooses for the device.

    Returns:
        h: (..., L, N) in the common dtype of the arguments, float32 or more.

    Raises:
        ValueError: shapes that do not fit, or an unknown backend.
    """
    dtype = torch.float32
    for tensor in (a, b, h0):
        dtype = dtype if tensor is None else torch.promote_types(dtype, tensor.dtype)
    a, b, h0 = _rows(a.to(dtype), b.to(dtype), h0 if h0 is None else h0.to(dtype))
    shape, b = b.shape, b.reshape(-1, *b.shape[-2:])
    return SCAN.on(b.device, backend)(a, b, h0, reverse).reshape(shape)


def _rows(a: Tensor, b: Tensor, h0: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
    """Returns a: (1 or R, 1 or L, N), b unchanged and h0: (R, N); R is the product of the leading dimensions of b."""
    if b.ndim < 2 or b.shape[-2] < 1:
        raise ValueError(f"scan needs b of shape (..., L, N) with L >= 1, got {tuple(b.shape)}")
    *lead, _, N = b.shape
    rows = math.prod(lead)
    try:
        a = a.expand(*(1,) * (b.ndim - a.ndim), *a.shape[:-1], N)
        a = a if a.shape[:-2].numel() == 1 else a.expand(*lead, *a.shape[-2:])
        a.expand_as(b)
        h0 = b.new_zeros(rows, N) if h0 is None else h0.expand(*lead, N).reshape(rows, N)
    except RuntimeError as error:
        raise ValueError(f"scan: a and h0 do not fit b of shape {tuple(b.shape)}: {error}") from None
    return a.reshape(-1, *a.shape[-2:]), b, h0


class _Scan(torch.autograd.Function):
    @staticmethod
    def forward(ctx, a: Tensor, b: Tensor, h0: Tensor, reverse: bool, form: "Form") -> Tensor:
        a, b, h0 = (x.resolve_conj().contiguous() for x in (a, b, h0))
        h = form.forward(a, b, h0, reverse)
        ctx.save_for_backward(a, h0, h)
        ctx.reverse, ctx.form = reverse, form
        return h

    @staticmethod
    @once_differentiable
    def backward(ctx, dh: Tensor) -> tuple[Tensor | None, ...]:
        a, h0, h = ctx.saved_tensors
        da, db, dh0 = ctx.form.backward(a, h0, h, dh.resolve_conj().contiguous(), ctx.reverse)
        return da.sum_to_size(a.shape), db, dh0, None, None


class Form(NamedTuple):
    """The recurrence and its adjoint on contiguous arrays; `reverse` is the direction of the recurrence in both."""

    forward: Callable[[Tensor, Tensor, Tensor, bool], Tensor]  # a, b, h0 to h
    backward: Callable[
        [Tensor, Tensor, Tensor, Tensor, bool], tuple[Tensor, Tensor, Tensor]
    ]  # a, h0, h, dh to da, db, dh0

    def __call__(self, a: Tensor, b: Tensor, h0: Tensor, reverse: bool = False) -> Tensor:
        return _Scan.apply(a, b, h0, reverse, self)


def _fused_forward(a: Tensor, b: Tensor, h0: Tensor, reverse: bool) -> Tensor:
    from . import triton as fused

    return fused.forward(a, b, h0, reverse)


def _fused_backward(a: Tensor, h0: Tensor, h: Tensor, dh: Tensor, reverse: bool) -> tuple[Tensor, Tensor, Tensor]:
    from . import triton as fused

    return fused.backward(a, h0, h, dh, reverse)


def _probe(form: Callable[..., Tensor], device: torch.device) -> list[Tensor]:
    """Complex, both directions, a that depends on time and a that does not."""
    results = []
    for steps, reverse in ((37, False), (1, True)):
        generator = torch.Generator().manual_seed(0)
        draw = lambda *shape, generator=generator: torch.randn(*shape, generator=generator, dtype=torch.complex64)
        a = draw(2, steps, 5)
        leaves = [x.to(device).requires_grad_() for x in (a / (1 + a.abs()), draw(2, 37, 5), draw(2, 5))]
        results += values_and_gradients(lambda *x, reverse=reverse: form(*x, reverse), leaves)
    return results


SCAN = Operation(
    "scan",
    {
        "reference": scan_reference,
        "torch": Form(chunked_forward, chunked_backward),
        "compiled": Form(compiled_forward, compiled_backward),
        "triton": Form(_fused_forward, _fused_backward),
    },
    _probe,
)
