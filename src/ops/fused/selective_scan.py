"""The selective scan on a GPU: the kernels of `selective_forward` and `selective_backward` behind one autograd function.

Between forward and backward it keeps what was read, the step sizes in place of dt, the output before a gate, and every KEPT-th state:
(3 + N / KEPT) b L D numbers beside the arguments, never b L D N. Everything that decides on shapes is known on the host, so nothing waits
for the card and a CUDA graph can hold the calls.
"""

import math
from typing import NamedTuple

import torch
import triton
from torch import Tensor
from torch.autograd.function import once_differentiable

from src.ops.fused.launch import launch
from src.ops.fused.selective_backward import adjoint_ends, backward
from src.ops.fused.selective_forward import ends, forward
from src.ops.selective_reference import ScanArguments

KEPT = 64  # steps between states that are kept for the backward pass; a segment is a multiple of it
STEPS = 8  # steps whose states the backward pass has in scratch memory at one time; divides KEPT
WORDS = 16  # 32-bit words of state that a lane holds: enough independent work to hide latency, few enough to stay in registers
PROGRAMS_PER_MULTIPROCESSOR = 8
MOST_SEGMENTS = 64  # a program passes all segments before its own
MULTIPROCESSORS = 132  # taken where there is no card: in the interpreter


class Tile(NamedTuple):
    """Shape of a program's tile, see `selective_parts`, and the warps that share it."""

    NH: int
    NL: int
    DH: int
    DL: int
    warps: int

    def blocks(self, channels: int) -> int:
        """Returns how many programs it takes for all channels."""
        return math.ceil(channels / (self.DH * self.DL))

    def options(self) -> dict[str, int]:
        """Returns what a launch is told."""
        return {"NH": self.NH, "NL": self.NL, "DH": self.DH, "DL": self.DL, "num_warps": self.warps}


def tile(A: Tensor, lanes: int) -> Tile:
    """Returns the tile for A (D, P, N) with at least `lanes` lanes of a warp along the states.

    States go to more lanes, and then to more warps, rather than beyond `WORDS` words in a lane.
    """
    channels, P, N = A.shape
    words, states = P * A.element_size() // 4, triton.next_power_of_2(N)
    NL = min(lanes, states)
    while NL < min(32, states) and states // NL * words > WORDS:
        NL *= 2
    NH, DL = states // NL, 32 // NL
    DH = max(1, min(4, WORDS // (NH * words), triton.next_power_of_2(math.ceil(channels / DL))))
    return Tile(NH, NL, DH, DL, max(1, NH * words // WORDS))


def segments(programs: int, L: int, device: torch.device) -> tuple[int, int]:
    """Returns into how many segments of how many steps L is cut, where one segment has `programs` programs.

    Two segments would not pay, as time is walked through twice then.
    """
    cuda = device.type == "cuda"
    multiprocessors = torch.cuda.get_device_properties(device).multi_processor_count if cuda else MULTIPROCESSORS
    chunks = math.ceil(L / KEPT)
    wanted = min(PROGRAMS_PER_MULTIPROCESSOR * multiprocessors // max(programs, 1), chunks, MOST_SEGMENTS)
    length = KEPT * (math.ceil(chunks / wanted) if wanted > 2 else chunks)
    return math.ceil(L / length), length


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
        shape = tile(A, lanes=1)
        programs = b * shape.blocks(channels)
        S, length = segments(programs, L, x.device)
        cut = (L, channels, S, length)
        numbers = {"N": A.shape[-1], "P": A.shape[-2], "SELECTIVE_DT": dt.ndim == 3, "SELECTIVE_B": B.ndim == 4}
        end, decay = x.new_empty(2, b, S, *A.shape) if S > 1 else (A, A)
        launch(
            ends, (programs * S if S > 1 else 0,), x, dt, bias, A, B, end, decay, *cut, **numbers, **shape.options()
        )
        chunks = math.ceil(L / KEPT)
        kept = x.new_empty(b, chunks, *A.shape) if keep else None
        steps = torch.empty_like(x) if keep and bias is not None else None
        core = torch.empty_like(x) if keep and z is not None else None
        out, final = torch.empty_like(x), torch.empty_like(h0)
        launch(
            forward, (programs * S,), x, dt, bias, A, B, C, D, z, h0, end, decay, kept, steps, core, out, final, *cut, chunks,
            KEPT=KEPT, SELECTIVE_C=C.ndim == 4, **numbers, **shape.options(),
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
        selective = {"SELECTIVE_DT": steps.ndim == 3, "SELECTIVE_C": C.ndim == 4}
        numbers = {"N": A.shape[-1], "P": A.shape[-2], **selective}
        shape = tile(A, lanes=1)
        grid = (b * shape.blocks(channels) * (S - 1),)
        end = torch.empty_like(decay)
        launch(adjoint_ends, grid, steps, A, C, z, dout, end, *ctx.cut, **numbers, **shape.options())
        shape = tile(A, lanes=4)
        blocks = shape.blocks(channels)
        scratch = x.new_empty(b * blocks * S, STEPS + KEPT // STEPS, len(A[0]), 32 * shape.DH * shape.NH)
        sums = x.new_empty(b, S, *A.shape)
        dx, dz, dh0 = torch.empty_like(x), None if z is None else torch.empty_like(z), torch.empty_like(dfinal)
        dsteps = torch.empty_like(x) if selective["SELECTIVE_DT"] else None
        dA, (dB, dC) = torch.empty_like(sums), (
            x.new_empty(blocks, *tensor.shape) if tensor.ndim == 4 else torch.empty_like(sums) for tensor in (B, C)
        )
        dD, dbias = x.new_empty(2, b, S, channels)
        launch(
            backward, (b * blocks * S,), x, steps, A, B, C, D, z, core, kept, decay, end, dfinal, dout, scratch,
            dx, dsteps, dz, dA, dB, dC, dD, dbias, dh0, *ctx.cut, kept.shape[1], b,
            KEPT=KEPT, STEPS=STEPS, SOFTPLUS=ctx.softplus, SELECTIVE_B=B.ndim == 4, **numbers, **shape.options(),
        )  # fmt: skip
        dB, dC = (_joined(part.sum(0) if like.ndim == 4 else part.sum((0, 1))) for part, like in ((dB, B), (dC, C)))
        dbias = dbias.sum((0, 1))
        return (
            dx, dbias if dsteps is None else dsteps, dbias if ctx.softplus else None, _joined(dA.sum((0, 1))), dB, dC,
            None if D is None else dD.sum((0, 1)), dz, _joined(dh0), None,
        )  # fmt: skip


def _planes(tensor: Tensor) -> Tensor:
    """(..., N) real or complex to its real planes (..., P, N), contiguous."""
    if not tensor.is_complex():
        return tensor.unsqueeze(-2).contiguous()
    return torch.view_as_real(tensor.resolve_conj()).transpose(-1, -2).contiguous()


def _joined(planes: Tensor) -> Tensor:
    """The inverse of `_planes`."""
    real, *imaginary = planes.unbind(-2)
    return torch.complex(real, *imaginary) if imaginary else real
