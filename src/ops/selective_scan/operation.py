"""The selective state-space scan of Mamba (arXiv 2312.00752, Section 3.2), real or complex.

    h_t = exp(dt_t A) h_{t-1} + dt_t B_t x_t,     y_t = Re(sum_n C_tn h_tn) + D x_t,     out_t = y_t silu(z_t)

for each channel on its own, with a diagonal A and dt_t = softplus(dt_t + dt_bias) if asked. P2 (arXiv 2410.14067,
Section 5 and Appendix F.3) compares real A, B, C with complex ones and lets each of B, C and dt depend on time
(selective) or not (constant, one for each channel).

Four ways to compute it, one answer: `reference` is the definition, `compiled` (CPU) fuses it all in one pass over
cache-sized blocks and stores a state every few steps, `triton` (CUDA) does that in registers and runs segments of time side
by side where sequences and channels alone would not fill the card, `torch` (any device) materialises the states of one short
chunk at a time. No path divides by a product of decays. Memory is O(b L D) in all but the reference.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from ..backend import Operation, values_and_gradients
from ..precision import full_precision
from .arguments import ScanArguments, scan_arguments
from .compiled import compiled
from .reference import selective_scan_reference
from .torch import chunked


def selective_scan(
    x: Tensor,
    dt: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None = None,
    z: Tensor | None = None,
    dt_bias: Tensor | None = None,
    softplus: bool = False,
    h0: Tensor | None = None,
    return_state: bool = False,
    backend: str | None = None,
) -> Tensor | tuple[Tensor, Tensor]:
    """Returns out (b, L, D), and with `return_state` also the final state (b, D, N).

    Args:
        x: (b, L, D) real input, L >= 1.
        dt: steps, selective (b, L, D) or constant (D,).
        A: (D, N), real or complex.
        B, C: selective (b, L, N), or constant (D, N), each real or complex.
        D: (D,) skip, or None.
        z: (b, L, D) gate, or None.
        dt_bias: (D,), added to dt before `softplus`, or None.
        softplus: whether dt passes through softplus.
        h0: (b, D, N) state before the first step, zero when None.
        backend: a form of `SELECTIVE_SCAN`; None is the one that `src.ops.backend` chooses for the device.

    Half precision is computed, and returned, in float32.

    Raises:
        ValueError: shapes that do not fit, or an unknown backend.
    """
    form = SELECTIVE_SCAN.on(x.device, backend)
    with full_precision(x):
        arguments = scan_arguments(x, dt, A, B, C, D, z, dt_bias, softplus, h0)
        out, state = form(arguments)
    return (out, state) if return_state else out


def _probe(form: Callable[[ScanArguments], tuple[Tensor, Tensor]], device: torch.device) -> list[Tensor]:
    """A small complex problem and a small real one, all parts selective and none; long enough for segments of a fused form."""
    results = []
    for dtype, selective in ((torch.complex64, True), (torch.float32, False)):
        generator = torch.Generator().manual_seed(0)
        draw = lambda *shape, dtype=torch.float32, generator=generator: torch.randn(
            *shape, generator=generator, dtype=dtype
        )
        b, L, D, N = 2, 150, 5, 3
        A = -torch.rand(D, N, generator=generator) + (1j * draw(D, N) if dtype.is_complex else 0)
        dt, shape = (draw(b, L, D), (b, L, N)) if selective else (draw(D), (D, N))
        tensors = [
            draw(b, L, D),
            dt,
            A,
            draw(*shape, dtype=dtype),
            draw(*shape, dtype=dtype),
            draw(D),
            draw(b, L, D),
            draw(D),
        ]
        leaves = [tensor.to(device).requires_grad_() for tensor in (*tensors, draw(b, D, N, dtype=dtype))]
        run = lambda *leaves: form(ScanArguments(*leaves[:8], softplus=True, h0=leaves[8]))
        results += values_and_gradients(run, leaves)
    return results


def _triton(arguments: ScanArguments) -> tuple[Tensor, Tensor]:
    """The fused kernels; Triton may be missing where they are not used."""
    from .triton import fused

    return fused(arguments)


SELECTIVE_SCAN = Operation(
    "selective scan",
    {"reference": selective_scan_reference, "torch": chunked, "compiled": compiled, "triton": _triton},
    _probe,
)
