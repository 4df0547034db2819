"""The selective scan on a GPU: the kernels of `selective_forward` and `selective_backward` behind one autograd function.

Between forward and backward it keeps the arguments (the step sizes in place of dt), the output before a gate, and every KEPT-th state,
N / KEPT as many as there are states; without gradients, nothing. The backward pass has scratch memory for STEPS + KEPT / STEPS states of
each channel of each program, whatever L is. Shapes and grids follow from shapes alone, so nothing waits for the card and a CUDA graph
can hold the calls.
"""

import math
from typing import NamedTuple

import torch
import triton
from torch import Tensor
from torch.autograd.function import once_differentiable

from ..triton.launch import launch
from .arguments import ScanArguments
from .triton_backward import adjoint_ends, backward
from .triton_forward import ends, forward

KEPT = 64  # steps between states that are kept for the backward pass; a segment is a multiple of it
STEPS = 8  # steps whose states the backward pass has in scratch memory at one time; divides KEPT
WORDS = 16  # 32-bit words of state that a lane holds: enough independent work to hide latency, few enough to stay in registers
PROGRAMS_PER_MULTIPROCESSOR = 8  # as many as the registers of the backward pass let in
MOST_SEGMENTS = 64  # a program passes all segments before its own
MULTIPROCESSORS = 132  # taken where there is no card: in the interpreter


class Tile(NamedTuple):
    """Shape of a program's tile, see `selective_parts`, and the warps that share it."""

    NG: int
    NV: int
    NL: int
    DH: int
    DL: int
    warps: int

    @property
    def size(self) -> int:
        """Entries of a tile."""
        return 32 * self.DH * self.NG * self.NV

    def blocks(self, channels: int) -> int:
        """Returns how many programs it takes for all channels."""
        return math.ceil(channels / (self.DH * self.DL))

    def options(self) -> dict[str, int]:
        """Returns what a launch is told."""
        return {"NG": self.NG, "NV": self.NV, "NL": self.NL, "DH": self.DH, "DL": self.DL, "num_warps": self.warps}


def tile(A: Tensor, lanes: int) -> Tile:
    """Returns the tile for A (D, P, N) with at least `lanes` lanes of a warp along the states.

    States go to more lanes, and then to more warps, rather than beyond `WORDS` words in a lane.
    """
    channels, P, N = A.shape
    wide, states = 16 // A.element_size(), triton.next_power_of_2(N)
    words = P * (A.element_size() // 4) ** 2  # what float64 is computed with takes twice the room too
    NL = min(32, states, max(lanes, triton.next_power_of_2(math.ceil(states * words / WORDS))))
    held, DL = states // NL, 32 // NL
    NV = min(wide, held)
    DH = max(1, min(wide, WORDS // (held * words), triton.next_power_of_2(math.ceil(channels / DL))))
    return Tile(held // NV, NV, NL, DH, DL, max(1, held * words // WORDS))


def segments(programs: int, L: int, device: torch.device) -> tuple[int, int]:
    """Returns into how many segments of how many steps L is cut, where one segment has `programs` programs.

    Two segments would not pay, as time is walked through twice then.
    """
    cuda = device.type == "cuda"
    multiprocessors = torch.cuda.get_device_properties(device).multi_processor_count if cuda else MULTIPROCESSORS
    chunks = math.ceil(L / KEPT)
    wanted = max(1, min(PROGRAMS_PER_MULTIPROCESSOR * multiprocessors // max(programs, 1), chunks, MOST_SEGMENTS))
    length = KEPT * math.ceil(chunks / wanted)
    return (math.ceil(L / length), length) if 2 * length < L else (1, KEPT * chunks)


def fused(arguments: ScanArguments) -> tuple[Tensor, Tensor]:
    """Returns the output (b, L, D) and the final state (b, D, N). CUDA, or a CPU under Triton's interpreter; float32 or float64."""
    dt, bias = arguments.dt, None
    if arguments.softplus and dt.ndim == 3:
        bias = dt.new_zeros(dt.shape[-1]) if arguments.dt_bias is None else arguments.dt_bias
    else:
        dt = arguments.step_sizes()
    tensors = (arguments.x, dt, bias, arguments.A, arguments.B, arguments.C, arguments.D, arguments.z, arguments.h0)
    keep = torch.is_grad_enabled() and any(tensor is not None and tensor.requires_grad for tensor in tensors)
    return _SelectiveScan.apply(*tensors, keep)


class _SelectiveScan(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, dt, bias, A, B, C, D, z, h0, keep: bool) -> tuple[Tensor, Tensor]:
        x, dt, bias, D, z = (None if tensor is None else tensor.contiguous() for tensor in (x, dt, bias, D, z))
        A, B, C, h0 = (_planes(tensor) for tensor in (A, B, C, h0))
        b, L, channels = x.shape
        shape, chunks = tile(A, lanes=1), math.ceil(L / KEPT)
        programs = b * shape.blocks(channels)
        S, length = segments(programs, L, x.device)
        cut, options = (L, channels, S, length), _constants(A, dt) | shape.options()
        end, decay = (x.new_empty(b, S, *A.shape) if S > 1 else A for _ in range(2))  # A: something that is not read
        grid = (programs * S if S > 1 else 0,)
        launch(ends, grid, x, dt, bias, A, B, end, decay, *cut, SELECTIVE_B=B.ndim == 4, **options)
        kept = x.new_empty(b, chunks, *A.shape) if keep else None
        steps = torch.empty_like(x) if keep and bias is not None else None
        core = torch.empty_like(x) if keep and z is not None else None
        out, final = torch.empty_like(x), torch.empty_like(h0)
        launch(
            forward, (programs * S,), x, dt, bias, A, B, C, D, z, h0, end, decay, kept, steps, core, out, final, *cut, chunks,
            KEPT=KEPT, SELECTIVE_B=B.ndim == 4, SELECTIVE_C=C.ndim == 4, **options,
        )  # fmt: skip
        ctx.save_for_backward(x, dt if steps is None else steps, A, B, C, D, z, core, kept, decay)
        ctx.cut, ctx.softplus = cut, bias is not None
        ctx.set_materialize_grads(False)
        return out, _joined(final)

    @staticmethod
    @once_differentiable
    def backward(ctx, dout: Tensor | None, dfinal: Tensor | None) -> tuple[Tensor | None, ...]:
        x, steps, A, B, C, D, z, core, kept, decay = ctx.saved_tensors
        b, (_, channels, S, _) = len(x), ctx.cut
        dout = torch.zeros_like(x) if dout is None else dout.contiguous()
        dfinal = A.new_zeros(b, *A.shape) if dfinal is None else _planes(dfinal)
        options, shape = _constants(A, steps) | {"SELECTIVE_C": C.ndim == 4}, tile(A, lanes=1)
        end, grid = torch.empty_like(decay), (b * shape.blocks(channels) * (S - 1),)
        launch(adjoint_ends, grid, steps, A, C, z, dout, end, *ctx.cut, **options, **shape.options())
        shape = tile(A, lanes=4)
        blocks = shape.blocks(channels)
        programs = b * blocks * S
        scratch = x.new_empty(programs, STEPS + KEPT // STEPS, A.shape[1], shape.size)
        dx, dz, dh0 = torch.empty_like(x), None if z is None else torch.empty_like(z), torch.empty_like(dfinal)
        dsteps = torch.empty_like(x) if steps.ndim == 3 else None
        dA, dB, dC = x.new_empty(b, S, *A.shape), _sums(B, blocks, b, S), _sums(C, blocks, b, S)
        dD, dbias = x.new_empty(2, b, S, channels)
        launch(
            backward, (programs,), x, steps, A, B, C, D, z, core, kept, decay, end, dfinal, dout, scratch,
            dx, dsteps, dz, dA, dB, dC, dD, dbias, dh0, *ctx.cut, kept.shape[1], b,
            KEPT=KEPT, STEPS=STEPS, SOFTPLUS=ctx.softplus, SELECTIVE_B=B.ndim == 4, **options, **shape.options(),
        )  # fmt: skip
        dB, dC = (_joined(part.sum(0 if part.ndim == like.ndim + 1 else (0, 1))) for part, like in ((dB, B), (dC, C)))
        dbias = dbias.sum((0, 1))
        ddt, dbias = (dbias, None) if dsteps is None else (dsteps, dbias if ctx.softplus else None)
        dD = None if D is None else dD.sum((0, 1))
        return dx, ddt, dbias, _joined(dA.sum((0, 1))), dB, dC, dD, dz, _joined(dh0), None


def _constants(A: Tensor, dt: Tensor) -> dict[str, int | bool]:
    """What every kernel is compiled for."""
    return {"N": A.shape[2], "P": A.shape[1], "SELECTIVE_DT": dt.ndim == 3}


def _sums(B: Tensor, blocks: int, b: int, S: int) -> Tensor:
    """Room for the gradient of B, a part for each program: (blocks, b, L, P, N) if it is selective, (b, S, D, P, N) if constant."""
    return B.new_empty(blocks, *B.shape) if B.ndim == 4 else B.new_empty(b, S, *B.shape)


def _planes(tensor: Tensor) -> Tensor:
    """(..., N) real or complex to its real planes (..., P, N), contiguous."""
    if not tensor.is_complex():
        return tensor.unsqueeze(-2).contiguous()
    return torch.view_as_real(tensor.resolve_conj()).transpose(-1, -2).contiguous()


def _joined(planes: Tensor) -> Tensor:
    """The inverse of `_planes`."""
    real, *imaginary = planes.unbind(-2)
    return torch.complex(real, *imaginary) if imaginary else real
