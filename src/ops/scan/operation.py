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
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from src.ops.backend import Operation, values_and_gradients
from src.ops.jit import jit

_ONE_THREAD = 1 << 18  # below this many elements a second thread costs more than it saves


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


def scan_reference(a: Tensor, b: Tensor, h0: Tensor, reverse: bool = False) -> Tensor:
    """The definition, one step at a time. a: (1 or R, 1 or L, N); b: (R, L, N); h0: (R, N). Returns (R, L, N)."""
    a_steps, b_steps = a.expand_as(b).unbind(1), b.unbind(1)
    h, states = h0, []
    for t in reversed(range(len(b_steps))) if reverse else range(len(b_steps)):
        h = a_steps[t] * h + b_steps[t]
        states.append(h)
    return torch.stack(states[::-1] if reverse else states, dim=1)


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


def _numba_forward(a: Tensor, b: Tensor, h0: Tensor, reverse: bool) -> Tensor:
    h = torch.empty_like(b)
    _over_rows(_forward_rows, reverse, a, b, h0, h)
    return h


def _numba_backward(a: Tensor, h0: Tensor, h: Tensor, dh: Tensor, reverse: bool) -> tuple[Tensor, Tensor, Tensor]:
    da, db, dh0 = h.new_empty(h.shape[0], a.shape[1], h.shape[2]), torch.empty_like(h), torch.empty_like(h0)
    _over_rows(_backward_rows, reverse, a, h0, h, dh, da, db, dh0)
    return da, db, dh0


def _over_rows(loop: Callable[..., None], reverse: bool, *tensors: Tensor) -> None:
    """Runs a compiled loop on all rows, cut into one block a thread of torch's."""
    R, size = tensors[-1].shape[0], tensors[1].numel()
    threads = min(torch.get_num_threads(), R) if size > _ONE_THREAD else 1
    arrays = [x.detach().numpy() for x in tensors]
    if threads == 1:
        return loop(reverse, *arrays)
    bounds = [R * i // threads for i in range(threads + 1)]
    blocks = [[x if len(x) == 1 else x[i:j] for x in arrays] for i, j in pairwise(bounds)]
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(lambda block: loop(reverse, *block), blocks))


@jit
def _forward_rows(reverse, a, b, h0, h):
    R, L, N = b.shape
    for r in range(R):
        row_a, row_b, row_h = a[r % a.shape[0]], b[r], h[r]
        previous = h0[r]
        for k in range(L):
            t = L - 1 - k if reverse else k
            at, bt, ht = row_a[t % row_a.shape[0]], row_b[t], row_h[t]
            for n in range(N):
                ht[n] = at[n] * previous[n] + bt[n]
            previous = ht


@jit
def _backward_rows(reverse, a, h0, h, dh, da, db, dh0):
    """da: (R, 1 or L, N). A time-invariant a sums its gradient in blocks of 64 steps: less rounding."""
    R, L, N = h.shape
    constant = a.shape[1] == 1
    block = np.empty(N, h.dtype)
    for r in range(R):
        row_a, row_h, row_dh, row_da, row_db, carry = a[r % a.shape[0]], h[r], dh[r], da[r], db[r], dh0[r]
        carry[:] = 0
        block[:] = 0
        if constant:
            row_da[:] = 0
        for k in range(L - 1, -1, -1):
            t = L - 1 - k if reverse else k
            previous = h0[r] if k == 0 else row_h[t + 1 if reverse else t - 1]
            at, dht, gt = row_a[0 if constant else t], row_dh[t], row_db[t]
            if constant:
                for n in range(N):
                    gt[n] = dht[n] + carry[n]
                    carry[n] = np.conj(at[n]) * gt[n]
                    block[n] += gt[n] * np.conj(previous[n])
                if k % 64 == 0:
                    row_da[0] += block
                    block[:] = 0
            else:
                dat = row_da[t]
                for n in range(N):
                    gt[n] = dht[n] + carry[n]
                    carry[n] = np.conj(at[n]) * gt[n]
                    dat[n] = gt[n] * np.conj(previous[n])


def _chunked_forward(a: Tensor, b: Tensor, h0: Tensor, reverse: bool) -> Tensor:
    if reverse:
        return _chunked_forward(a.flip(1), b.flip(1), h0, False).flip(1)
    R, L, N = b.shape
    T = math.ceil(math.sqrt(L))
    S = math.ceil(L / T)
    in_chunks = lambda x: torch.nn.functional.pad(x, (0, 0, 0, S * T - L)).view(-1, S, T, N)
    h = in_chunks(b)
    a = in_chunks(a) if a.shape[1] > 1 else a[:, :, None].expand(-1, 1, T, N)
    for t in range(1, T):
        h[:, :, t] += a[:, :, t] * h[:, :, t - 1]
    decay = a.cumprod(2)
    for s in range(S):
        entering = h0 if s == 0 else h[:, s - 1, -1]
        h[:, s] += decay[:, s % decay.shape[1]] * entering[:, None]
    return h.reshape(R, S * T, N)[:, :L].contiguous()


def _chunked_backward(a: Tensor, h0: Tensor, h: Tensor, dh: Tensor, reverse: bool) -> tuple[Tensor, Tensor, Tensor]:
    first, shift = (-1, -1) if reverse else (0, 1)
    later = (
        a if a.shape[1] == 1 else a.roll(-shift, 1)
    )  # the wrapped entry meets the zero state that the adjoint starts from
    db = _chunked_forward(later.conj().resolve_conj(), dh, torch.zeros_like(h0), not reverse)
    previous = h.roll(shift, 1)
    previous[:, first] = h0
    return db * previous.conj(), db, (a[:, first].conj() * db[:, first]).resolve_conj()


class Form(NamedTuple):
    """The recurrence and its adjoint on contiguous arrays; `reverse` is the direction of the recurrence in both."""

    forward: Callable[[Tensor, Tensor, Tensor, bool], Tensor]  # a, b, h0 to h
    backward: Callable[
        [Tensor, Tensor, Tensor, Tensor, bool], tuple[Tensor, Tensor, Tensor]
    ]  # a, h0, h, dh to da, db, dh0

    def __call__(self, a: Tensor, b: Tensor, h0: Tensor, reverse: bool = False) -> Tensor:
        return _Scan.apply(a, b, h0, reverse, self)


def _fused_forward(a: Tensor, b: Tensor, h0: Tensor, reverse: bool) -> Tensor:
    from src.ops.scan import triton as fused

    return fused.forward(a, b, h0, reverse)


def _fused_backward(a: Tensor, h0: Tensor, h: Tensor, dh: Tensor, reverse: bool) -> tuple[Tensor, Tensor, Tensor]:
    from src.ops.scan import triton as fused

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
        "torch": Form(_chunked_forward, _chunked_backward),
        "compiled": Form(_numba_forward, _numba_backward),
        "triton": Form(_fused_forward, _fused_backward),
    },
    _probe,
)
