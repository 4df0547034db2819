"""Training throughput of every model on sequences of sequential CIFAR-10's shape: whole steps of `src.engine`, samples a second.

A step is what `train.py` does with a batch: forward, backward, the look for what is not finite, metrics and AdamW. Measured with one
thread (CPU time) and, with `--threads 2`, with two (wall-clock, so only an idle machine's figures mean something). Beside it stands what
the step would take at least (`limit`), measured in the same run, and the most memory that its tensors have at one time.
"""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import nn

from ..engine import Plan, TrainState, classification, make_optimizer, parameter_groups
from ..engine.device import loss_scaler
from ..engine.step import Step
from ..kernels import DiagonalKernel, DPLRKernel, RealDiagonalKernel, ptd_kernel
from ..layers import S5, S4Block, S5Block, S5Options
from ..layers.mamba import SSMType, mamba_block
from ..layers.s5_init import normal_eigenbasis, perturbed_eigenbasis
from ..linalg.ptd import named_perturbation
from ..models import Classifier, ResidualBackbone, Tower
from .limit import limit
from .timing import Table, machine, peak_bytes, seconds

H, LAYERS, D_STATE, BATCH, CLASSES = 128, 4, 64, 8, 10
BLOCKS = 4  # of S5: blocks of 16 states
CPU, PLAN = torch.device("cpu"), Plan()

SSMS: dict[str, Callable[[], nn.Module]] = {
    "S4": lambda: S4Block(DPLRKernel(H, D_STATE)),
    "S4D": lambda: S4Block(DiagonalKernel(H, D_STATE)),
    "S4D-Real": lambda: S4Block(RealDiagonalKernel(H, D_STATE)),
    "S4-PTD": lambda: S4Block(ptd_kernel(named_perturbation(None, D_STATE), H, reflect=True)),
    "S5": lambda: _s5(S5Options(), normal_eigenbasis(D_STATE // BLOCKS)),
    "S5-PTD": lambda: _s5(S5Options(conj_sym=False), perturbed_eigenbasis(named_perturbation(None, D_STATE // BLOCKS))),
    "Mamba": lambda: mamba_block(H, SSMType.S6_REAL, d_state=16),
}


def _s5(options: S5Options, block) -> nn.Module:
    return S5Block(S5(H, block, BLOCKS, options))


def training_step(
    make_layer: Callable[[], nn.Module],
    L: int,
    batch_size: int = BATCH,
    device: torch.device = CPU,
    plan: Plan = PLAN,
    recompute: bool = False,
) -> Callable[[], float]:
    """Returns one update of a model on a fixed batch (batch_size, L, 1)."""
    torch.manual_seed(0)
    backbone = ResidualBackbone([make_layer() for _ in range(LAYERS)], H)
    backbone.recompute = recompute
    model = Classifier(Tower(nn.Linear(1, H), backbone), CLASSES).to(device)
    optimizer = make_optimizer("adamw", parameter_groups(model, 1e-3, 0.01))
    state = TrainState(model, optimizer, scaler=loss_scaler(device, plan.precision))
    step = Step(state, model, classification, plan, device)
    x, y = torch.randn(batch_size, L, 1), torch.randint(CLASSES, (batch_size,))
    batches = [(x.to(device), y.to(device))]
    return lambda: step(batches)


def rows(quick: bool = False) -> list[dict[str, str]]:
    """Measures every model and returns the table's rows."""
    lengths, repeats = ((1024,), 3) if quick else ((1024, 4096, 16384), 5)
    return [row for L in lengths for row in rows_of_length(L, repeats)]


def rows_of_length(L: int, repeats: int) -> list[dict[str, str]]:
    """Measures every model on sequences of one length: in turn, then each one's limit and memory."""
    more = torch.get_num_threads()
    steps = {name: training_step(make, L) for name, make in SSMS.items()}
    one = _seconds(steps, repeats, 1)
    several = _seconds(steps, repeats, more) if more > 1 else {}
    result = []
    for name, step in steps.items():
        least = _on_threads(1, lambda step=step: limit(step, repeats))
        result.append(
            {
                "model": name,
                "L": str(L),
                "ms a step": f"{1e3 * one[name]:,.0f}",
                "products": f"{1e3 * least.products:,.0f}",
                "transforms": f"{1e3 * least.transforms:,.0f}",
                "activations": f"{1e3 * least.activations:,.0f}",
                "limit, ms": f"{1e3 * least.total:,.0f}",
                "share of the limit, %": f"{100 * least.total / one[name]:.0f}",
                "peak, MB": f"{peak_bytes(step) / 1e6:,.0f}",
                "samples/s": f"{BATCH / one[name]:.1f}",
                **(_of_threads(more, one[name], several[name]) if several else {}),
            }
        )
    return result


def _of_threads(threads: int, one: float, several: float) -> dict[str, str]:
    return {
        f"samples/s, {threads} threads": f"{BATCH / several:.1f}",
        f"{threads} threads against one": f"{one / several:.2f}x",
    }


def _on_threads(threads: int, function: Callable[[], Any]) -> Any:
    """Calls a function while torch has so many threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        return function()
    finally:
        torch.set_num_threads(before)


def _seconds(steps: dict[str, Callable[[], float]], repeats: int, threads: int) -> dict[str, float]:
    """Median seconds of a step of each model with so many threads of torch's."""
    return _on_threads(threads, lambda: seconds(steps, repeats))


def tables(quick: bool = False) -> Iterator[Table]:
    """Measures and yields the table."""
    note = (
        f"{LAYERS} layers, H={H}, d_state={D_STATE}, batch {BATCH}, one direction, float32; whole steps of the engine; "
        f"CPU time on one thread, wall-clock on more; {machine()}. Limit: the step's matrix products alone, its transforms at the rate "
        "of rows that stay in cache, and one write and one read of each activation that is kept and of its gradient; elementwise "
        "functions, recurrences and the optimizer count as nothing. Peak: largest sum of live tensors in a step."
    )
    yield Table("Training throughput", note, rows(quick))
