"""Speed of the theory experiment's training step: the compiled loop against the plain form that the published code has.

The plain form loops over time in Python, lets autograd go back through it and steps torch.optim.Adam. Both sides run in this process on one
thread and are measured in CPU time of this thread, so that a busy machine does not count.
"""

import math
from collections.abc import Callable, Iterator

import torch

from ..theory.config import TheoryConfig
from ..theory.fit import CompiledFit
from ..theory.state import FitState
from .timing import Table, machine, seconds

SIZES = [
    (32, 32, True),
    (64, 64, True),
    (128, 128, True),
    (256, 256, True),
    (1024, 32, False),
]  # (N, L, complex) of P2's Tables 2 and 1


def naive_step(N: int, L: int, complex_option: bool) -> Callable[[], None]:
    """Returns a function that does one training step of N states and L entries the plain way."""
    generator = torch.Generator().manual_seed(0)
    uniform = lambda: torch.rand(N, generator=generator)
    normal = lambda *shape: torch.randn(*shape, generator=generator)
    rho, angle = (uniform() * 0.1 - 5).requires_grad_(), (uniform() * 2 * math.pi).requires_grad_(complex_option)
    B, C = ((normal(N, 2 if complex_option else 1) * 1e-3).requires_grad_() for _ in range(2))
    phi = torch.nn.functional.normalize(normal(L), dim=0)
    optimizer = torch.optim.Adam([p for p in (rho, angle, B, C) if p.requires_grad], lr=1e-5)

    def step() -> None:
        radius = torch.exp(-torch.exp(rho))
        A, b, c = radius, B.squeeze(-1), C.squeeze(-1)
        if complex_option:
            A, b, c = torch.polar(radius, angle), torch.view_as_complex(B), torch.view_as_complex(C)
        impulse = torch.zeros(L)
        impulse[0] = 1
        h, outputs = torch.zeros_like(b), []
        for k in range(L):
            h = A * h + b * impulse[k]
            outputs.append((c * h).sum().real)
        K = torch.stack(outputs) * (2 if complex_option else 1)
        optimizer.zero_grad()
        (K - phi).square().sum().backward()
        optimizer.step()

    return step


def compiled_steps(N: int, L: int, complex_option: bool, count: int) -> Callable[[], None]:
    """Returns a function that does `count` steps of the compiled loop."""
    config = TheoryConfig(N=N, L=L, complex_option=complex_option, task_name="random")
    fit = CompiledFit([config], [FitState.start(config)])
    return lambda: fit.advance(count)


def tables(quick: bool = False) -> Iterator[Table]:
    """Measures every size."""
    count, repeats, rows = (200, 3, []) if quick else (2000, 11, [])
    for N, L, complex_option in SIZES:
        sides = {"plain": naive_step(N, L, complex_option), "compiled": compiled_steps(N, L, complex_option, count)}
        measured = seconds(sides, repeats)
        plain, compiled = measured["plain"], measured["compiled"] / count
        rows.append(
            {
                "field": "complex" if complex_option else "real",
                "N": str(N),
                "L": str(L),
                "plain form, ms": f"{1e3 * plain:.2f}",
                "compiled, ms": f"{1e3 * compiled:.4f}",
                "ratio": f"{plain / compiled:,.0f}x",
            }
        )
    note = f"Medians of one thread's CPU time; the plain form loops over time in Python under autograd; {machine()}."
    yield Table("Theory experiment, one training step of one run", note, rows)
