"""S4's kernel K[t] = C A^t B for A = D + p q, diagonal plus low rank, without eigenvectors, Cauchy kernel or dense squaring.

With t = a S + b, K[a S + b] = (C X^a) (A^b B) and X = A^S. Telescoping A^S against D^S gives X from vectors only,

    A^S = D^S + sum_{j < S} (A^j p) (q D^(S-1-j)),

so the fine side is S steps of O(N) on B, p and q; one matrix product makes X; the coarse side is L / S steps with X, one
channel at a time so that X stays in cache or registers; one matrix product makes K. The backward pass runs the same steps in
reverse.

Real coordinates throughout: a half xi of N conjugate pairs is x = (Re xi, Im xi) of length n = 2 N, D x is d xi, and q is
a row of length n. Up to X all is float64, so that rounding does not grow with L; on a CPU channels go in blocks that fit the
cache. The fast forms share all of this and differ in how they step (`Steps`).
"""

from collections.abc import Callable

import torch
from torch import Tensor

from ..backend import Operation, values_and_gradients
from ..precision import full_precision
from .compiled import COMPILED
from .kernel import LowRankKernel
from .reference import low_rank_reference
from .steps import Steps
from .system import LowRankSystem
from .torch import TORCH


def low_rank_kernel(system: LowRankSystem, C: Tensor, L: int, backend: str | None = None) -> Tensor:
    """Returns K[h, c, t] = C[h, c] A[h]^t B[h], shape (H, c, L), for t = 0..L-1, in the precision of C (H, c, n).

    Args:
        backend: a form of `S4_KERNEL`; None is the one that `src.ops.backend` chooses for the device.

    Raises:
        ValueError: L below 1, or an unknown backend.
    """
    if L < 1:
        raise ValueError(f"L must be at least 1, got {L}")
    with full_precision(C):
        return S4_KERNEL.on(C.device, backend)(system, C, L)


def _form(steps: Callable[[], Steps]) -> Callable[[LowRankSystem, Tensor, int], Tensor]:
    return lambda system, C, L: LowRankKernel.apply(*system, C, L, steps())


def _triton() -> Steps:
    from .triton import TRITON

    return TRITON


def _probe(form: Callable[[LowRankSystem, Tensor, int], Tensor], device: torch.device) -> list[Tensor]:
    """A contraction of rank 2 with two output rows, of an order that is no power of two."""
    generator = torch.Generator().manual_seed(0)
    draw = lambda *shape: torch.randn(*shape, dtype=torch.float64, generator=generator)
    d = torch.polar(torch.rand(3, 5, dtype=torch.float64, generator=generator) * 0.9, 3 * draw(3, 5))
    halves, low_rank = torch.cat([d.real, d.imag], -1), [0.2 * draw(3, 2, 10) for _ in range(2)]
    leaves = [x.to(device).requires_grad_() for x in (halves, *low_rank, draw(3, 10), draw(3, 2, 10).float())]
    return values_and_gradients(lambda *x: form(LowRankSystem(*x[:4]), x[4], 37), leaves)


S4_KERNEL = Operation(
    "S4 kernel",
    {
        "reference": low_rank_reference,
        "torch": _form(lambda: TORCH),
        "compiled": _form(lambda: COMPILED),
        "triton": _form(_triton),
    },
    _probe,
)
