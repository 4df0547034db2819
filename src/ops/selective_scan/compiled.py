"""The selective scan on a CPU: the compiled loops of `src.ops.selective_scan.compiled_loops` behind one autograd function.

Threads share the jobs, one block of channels of one sequence each. Each sequence adds to its own dA and dD and each
block of channels to its own dB and dC, which are summed at the end: one writer, one order, so results do not depend on
the number of threads.
"""

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from ..elementary import LOG2_E
from . import compiled_loops as loops
from .arguments import ScanArguments

_ONE_THREAD = 1 << 18  # below this many state updates a second thread costs more than it saves


def compiled(arguments: ScanArguments) -> tuple[Tensor, Tensor]:
    """Returns the output (b, L, D) and the final state (b, D, N). CPU, float32 or float64."""
    x, empty = arguments.x, arguments.x.new_empty(0)
    bias, D = (empty if tensor is None else tensor for tensor in (arguments.dt_bias, arguments.D))
    z = x.new_empty(*x.shape[:2], 0) if arguments.z is None else arguments.z
    dt = arguments.dt.expand_as(x)
    return _SelectiveScan.apply(
        x, dt, arguments.A, arguments.B, arguments.C, D, z, bias, arguments.h0, arguments.softplus
    )


class _SelectiveScan(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, dt, A, B, C, D, z, bias, h0, softplus: bool) -> tuple[Tensor, Tensor]:
        x, dt, D, z, bias = (tensor.contiguous() for tensor in (x, dt, D, z, bias))
        A, B, C, h = (_planes(tensor) for tensor in (A, B, C, h0))
        states = x.new_empty(math.ceil(x.shape[1] / loops.T_CHUNK), *h.shape)
        core, out = torch.empty_like(z), torch.empty_like(x)
        inputs = (x, dt, bias, D, z, A, B, C)
        _run(loops.forward, loops.ForwardWork, x, states, softplus, _scaled(A), inputs, h, core, out)
        ctx.save_for_backward(*inputs, states, core)
        ctx.softplus = softplus
        ctx.set_materialize_grads(False)
        return out, _joined(h)

    @staticmethod
    @once_differentiable
    def backward(ctx, dout: Tensor | None, dh: Tensor | None) -> tuple[Tensor | None, ...]:
        *inputs, states, core = ctx.saved_tensors
        x, _, bias, D, z, A, B, C = inputs
        dout = torch.zeros_like(x) if dout is None else dout.contiguous()
        carry = torch.zeros_like(states[0]) if dh is None else _planes(dh)
        dx, ddt, dz = torch.empty_like(x), torch.empty_like(x), torch.empty_like(z)
        dA, dD = torch.zeros_like(carry), x.new_zeros(x.shape[0], D.numel())
        dB, dC = _sums(B, x), _sums(C, x)
        gradients = (dx, ddt, dz, dD, dA, dB, dC)
        order = np.arange(loops.T_CHUNK)[::-1].copy()
        arguments = (ctx.softplus, _scaled(A), tuple(inputs), order, core, dout, carry, gradients)
        _run(loops.backward, loops.BackwardWork, x, states, *arguments)
        dB, dC = (_joined(tensor.sum(0 if tensor.ndim == 5 else 1)) for tensor in (dB, dC))
        dbias = ddt.sum((0, 1)) if bias.numel() else bias
        return dx, ddt, _joined(dA.sum(1)), dB, dC, dD.sum(0), dz, dbias, _joined(carry), None


def _planes(tensor: Tensor) -> Tensor:
    """(..., K, N) real or complex to its real planes, each transposed: (P, ..., N, K), a copy of its own."""
    planes = torch.view_as_real(tensor.resolve_conj()).movedim(-1, 0) if tensor.is_complex() else tensor.unsqueeze(0)
    return planes.transpose(-1, -2).clone(memory_format=torch.contiguous_format)


def _joined(planes: Tensor) -> Tensor:
    """The inverse of `_planes`."""
    planes = planes.transpose(-1, -2)
    return planes[0] if len(planes) == 1 else torch.complex(planes[0], planes[1])


def _scaled(A: Tensor) -> Tensor:
    """A (P, N, D) as the exponentials of `src.ops.elementary` want it: the real part for powers of two."""
    return A[0] * LOG2_E if len(A) == 1 else torch.stack([A[0] * LOG2_E, A[1]])


def _sums(B: Tensor, x: Tensor) -> Tensor:
    """Zeros to add the gradient of B in: (blocks, P, b, N, L) if it is selective, (P, b, N, D) if constant."""
    if B.ndim == 4:
        return B.new_zeros(math.ceil(x.shape[2] / loops.W_BLOCK), *B.shape)
    return B.new_zeros(len(B), len(x), *B.shape[1:])


def _run(loop: Callable[..., None], Work: type, x: Tensor, states: Tensor, *arguments: Any) -> None:
    """Runs all jobs of a loop, a part a thread of torch's; each thread has scratch memory aligned to a cache line."""
    jobs = len(x) * math.ceil(x.shape[2] / loops.W_BLOCK)
    threads = min(torch.get_num_threads(), jobs) if states.numel() * loops.T_CHUNK > _ONE_THREAD else 1
    scratch = x.new_empty(threads, len(Work._fields), (loops.T_CHUNK + 1) * loops.W_BLOCK).numpy()
    work = [Work(*rows) for rows in scratch]
    arrays = [_arrays(argument) for argument in (states, *arguments)]
    if threads == 1:
        return loop(0, jobs, work[0], *arrays)
    bounds = [jobs * i // threads for i in range(threads + 1)]
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(lambda part: loop(*part[0], part[1], *arrays), zip(pairwise(bounds), work, strict=True)))


def _arrays(argument: Any) -> Any:
    """Tensors, also in tuples, as NumPy arrays on the same memory."""
    if isinstance(argument, tuple):
        return tuple(_arrays(item) for item in argument)
    return argument.detach().numpy() if isinstance(argument, Tensor) else argument
