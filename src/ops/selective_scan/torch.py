"""The selective scan in plain torch, for any device: chunk by chunk, each chunk's states made, used and forgotten.

A chunk of T steps needs b T D N numbers while it is worked on and leaves the state that enters the next one; the
backward pass makes them again. In a chunk the linear scan of `src.ops.scan` runs T steps of all states at once,
without dividing by products of decays.
"""

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from ..scan import scan
from .arguments import ScanArguments
from .reference import discrete, read_out

T_CHUNK = 64


def chunked(arguments: ScanArguments) -> tuple[Tensor, Tensor]:
    """Returns the output (b, L, D) and the final state (b, D, N)."""
    dt, h, outputs = arguments.step_sizes(), arguments.h0, []
    for t in range(0, arguments.x.shape[1], T_CHUNK):
        x, dt_, B, C = (
            tensor[:, t : t + T_CHUNK] if tensor.ndim == 3 else tensor
            for tensor in (arguments.x, dt, arguments.B, arguments.C)
        )
        y, h = checkpoint(_chunk, x, dt_, arguments.A, B, C, h, use_reentrant=False, preserve_rng_state=False)
        outputs.append(y)
    return arguments.finish(torch.cat(outputs, 1)), h


def _chunk(x: Tensor, dt: Tensor, A: Tensor, B: Tensor, C: Tensor, h0: Tensor) -> tuple[Tensor, Tensor]:
    a, drive = discrete(dt, x, A, B)
    a = a if a.ndim == 4 else a.expand(1, 1, *a.shape)
    h = scan(a.flatten(2), drive.flatten(2), h0.flatten(1), backend="torch").view(drive.shape)
    return read_out(h, C), h[:, -1]
