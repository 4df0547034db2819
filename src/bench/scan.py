"""Speed of the selective scan and of a training step of P2's selectivity model (arXiv 2410.14067, Appendix F.3).

The plain scan is one exponential per entry, a Python loop over time and autograd through it. The step's shares are the
operators' own time by the profiler's record.
"""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from ..models.mamba_config import MambaConfig
from ..models.mamba_lm import MambaLM
from ..ops.selective_scan import SELECTIVE_SCAN, selective_scan
from ..tasks.token_scores import token_loss
from ..tasks.tokens import Copy, InductionHead, TokenTask
from .timing import Table, machine, peak_bytes, seconds

BATCH, LENGTH, CHANNELS = 8, 384, 128
FIELDS = {"real": (16, torch.float32), "complex": (8, torch.complex64)}
TASKS: dict[str, TokenTask] = {"induction": InductionHead(), "copy": Copy()}
SHARES = {"scan, %": ("_SelectiveScan",), "linear maps, %": ("aten::mm", "aten::addmm", "aten::bmm")}


def tables(quick: bool = False) -> Iterator[Table]:
    """Measures and yields the tables; `quick` repeats less."""
    note = f"b={BATCH}, L={LENGTH}, D={CHANNELS}, float32, forward + backward; {machine()}."
    repeats = 3 if quick else 7
    rows = [scan_row(field, backend, repeats) for field in FIELDS for backend in ("compiled", "torch")]
    yield Table("Selective scan", note, rows)
    note = f"2 layers, d_model 64, batch 8, Adam; scan: {SELECTIVE_SCAN.backend(torch.device('cpu'))}; {machine()}."
    steps = 10 if quick else 40
    yield Table("Training step of the selectivity model", note, [step_row(t, f, steps) for t in TASKS for f in FIELDS])


def arguments(field: str) -> tuple[Tensor, ...]:
    """Returns (x, dt, A, B, C), all trainable."""
    N, dtype = FIELDS[field]
    generator = torch.Generator().manual_seed(0)
    normal = lambda *shape, dtype=torch.float32: torch.randn(*shape, generator=generator, dtype=dtype)
    dt = 0.1 * torch.rand(BATCH, LENGTH, CHANNELS, generator=generator)
    A = -torch.arange(1.0, N + 1).repeat(CHANNELS, 1)
    A = torch.complex(A, 6 * torch.rand(CHANNELS, N, generator=generator)) if dtype.is_complex else A
    B, C = (normal(BATCH, LENGTH, N, dtype=dtype) for _ in range(2))
    return tuple(tensor.requires_grad_() for tensor in (normal(BATCH, LENGTH, CHANNELS), dt, A, B, C))


def plain_scan(x: Tensor, dt: Tensor, A: Tensor, B: Tensor, C: Tensor) -> Tensor:
    """The plain form, costed like the published CPU path: it indexes time in a loop under autograd."""
    decay, drive = torch.exp(dt[..., None] * A), (dt * x)[..., None] * B[:, :, None]
    h, states = torch.zeros_like(drive[:, 0]), []
    for t in range(x.shape[1]):
        h = decay[:, t] * h + drive[:, t]
        states.append(h)
    return (torch.stack(states, 1) * C[:, :, None]).sum(-1).real


def scan_row(field: str, backend: str, repeats: int) -> dict[str, str]:
    """Measures one field on one backend."""
    inputs = arguments(field)
    run: dict[str, Callable[[], None]] = {
        "ours": lambda: selective_scan(*inputs, backend=backend).sum().backward(),
        "plain": lambda: plain_scan(*inputs).sum().backward(),
    }
    time = seconds(run, repeats)
    return {
        "field": field,
        "N": str(FIELDS[field][0]),
        "backend": backend,
        "plain, ms": f"{1e3 * time['plain']:,.0f}",
        "ours, ms": f"{1e3 * time['ours']:.1f}",
        "ratio": f"{time['plain'] / time['ours']:,.0f}x",
        "plain peak, MB": f"{peak_bytes(run['plain']) / 1e6:,.0f}",
        "ours peak, MB": f"{peak_bytes(run['ours']) / 1e6:,.0f}",
    }


def step_row(task: str, field: str, repeats: int) -> dict[str, str]:
    """Measures a training step of the published size, and the shares of its parts."""
    torch.manual_seed(0)
    model = MambaLM(MambaConfig(f"S6-{field.capitalize()}"))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)
    count = 0

    def step() -> None:
        nonlocal count
        batch = TASKS[task].batch(0, count, BATCH)
        optimizer.zero_grad()
        token_loss(model(batch.inputs), batch.targets).backward()
        optimizer.step()
        count += 1

    time = seconds({"step": step}, repeats)["step"]
    row = {"task": task, "L": str(TASKS[task].length), "field": field, "ms a step": f"{1e3 * time:.1f}"}
    row["steps a second"] = f"{1 / time:.0f}"
    shares = {name: 100 * share for name, share in step_shares(step).items()}
    return (
        row
        | {name: f"{share:.0f}" for name, share in shares.items()}
        | {"rest, %": f"{100 - sum(shares.values()):.0f}"}
    )


def step_shares(step: Callable[[], None], steps: int = 10) -> dict[str, float]:
    """Shares of the profiled operators' own time, by the prefixes in `SHARES`."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profiler:
        for _ in range(steps):
            step()
    events = profiler.key_averages()
    total = sum(event.self_cpu_time_total for event in events)
    own = lambda prefixes: sum(event.self_cpu_time_total for event in events if event.key.startswith(prefixes))
    return {name: own(prefixes) / total for name, prefixes in SHARES.items()}
