"""Speed of the theory experiment's training step: the compiled loop against the plain form that the published code has.

The plain form loops over time in Python, lets autograd go back through it and steps torch.optim.Adam. Both sides run in this process on one
thread and are measured in CPU time of this thread, so that a busy machine does not count.
"""

import math
import time
from collections.abc import Callable
from statistics import median

import torch

from src.theory.config import TheoryConfig
from src.theory.fit import CompiledFit
from src.theory.state import FitState

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
    fit = CompiledFit(config, FitState.start(config))
    return lambda: fit.advance(count)


def seconds(function: Callable[[], None], repeats: int) -> float:
    """Median CPU seconds of a call on this thread, after one call to warm up."""
    function()
    times = []
    for _ in range(repeats):
        started = time.thread_time()
        function()
        times.append(time.thread_time() - started)
    return median(times)


def rows(quick: bool = False) -> list[dict[str, str]]:
    """Measures every size and returns the table's rows."""
    count = 200 if quick else 2000
    result = []
    for N, L, complex_option in SIZES:
        ours = seconds(compiled_steps(N, L, complex_option, count), 3 if quick else 9) / count
        naive = seconds(naive_step(N, L, complex_option), 3 if quick else 15)
        result.append(
            {
                "field": "complex" if complex_option else "real",
                "N": str(N),
                "L": str(L),
                "plain form, ms a step": f"{1e3 * naive:.2f}",
                "compiled, ms a step": f"{1e3 * ours:.4f}",
                "ratio": f"{naive / ours:,.0f}x",
            }
        )
    return result
