"""Training throughput of every model on sequences of sequential CIFAR-10's shape: whole steps of `src.engine`, samples a second.

A step is what `train.py` does with a batch: forward, backward, the look for what is not finite, metrics and AdamW. Measured with one
thread (CPU time) and with more (wall-clock, so only an idle machine's figures mean something).
"""

from collections.abc import Callable, Iterator

import torch
from torch import nn

from ..engine import Plan, TrainState, classification, make_optimizer, parameter_groups
from ..engine.device import loss_scaler
from ..engine.step import Step
from ..kernels import DiagonalKernel, DPLRKernel, RealDiagonalKernel, ptd_kernel
from ..layers import S5, S4Block, S5Block, S5Options
from ..layers.s5_init import normal_eigenbasis, perturbed_eigenbasis
from ..linalg.ptd import named_perturbation
from ..models import Classifier, ResidualBackbone, Tower
from .timing import Table, machine, seconds

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
}


def _s5(options: S5Options, block) -> nn.Module:
    return S5Block(S5(H, block, BLOCKS, options))


def training_step(
    make_layer: Callable[[], nn.Module],
    L: int,
    batch_size: int = BATCH,
    device: torch.device = CPU,
    plan: Plan = PLAN,
) -> Callable[[], float]:
    """Returns one update of a model on a fixed batch (batch_size, L, 1)."""
    torch.manual_seed(0)
    backbone = ResidualBackbone([make_layer() for _ in range(LAYERS)], H)
    model = Classifier(Tower(nn.Linear(1, H), backbone), CLASSES).to(device)
    optimizer = make_optimizer("adamw", parameter_groups(model, 1e-3, 0.01))
    state = TrainState(model, optimizer, scaler=loss_scaler(device, plan.precision))
    step = Step(state, model, classification, plan, device)
    x, y = torch.randn(batch_size, L, 1), torch.randint(CLASSES, (batch_size,))
    batches = [(x.to(device), y.to(device))]
    return lambda: step(batches)


def rows(quick: bool = False) -> list[dict[str, str]]:
    """Measures every model and returns the table's rows."""
    lengths, repeats = ((1024,), 3) if quick else ((1024, 4096), 5)
    more = max(2, torch.get_num_threads())
    result = []
    for L in lengths:
        steps = {name: training_step(make, L) for name, make in SSMS.items()}
        one, several = (_seconds(steps, repeats, threads) for threads in (1, more))
        for name in SSMS:
            result.append(
                {
                    "model": name,
                    "L": str(L),
                    "ms a step": f"{1e3 * one[name]:,.0f}",
                    "samples/s": f"{BATCH / one[name]:.1f}",
                    "time steps/s": f"{BATCH * L / one[name]:,.0f}",
                    f"samples/s, {more} threads": f"{BATCH / several[name]:.1f}",
                }
            )
    return result


def _seconds(steps: dict[str, Callable[[], float]], repeats: int, threads: int) -> dict[str, float]:
    """Median seconds of a step of each model with so many threads of torch's."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        return seconds(steps, repeats)
    finally:
        torch.set_num_threads(before)


def tables(quick: bool = False) -> Iterator[Table]:
    """Measures and yields the table."""
    note = (
        f"{LAYERS} layers, H={H}, d_state={D_STATE}, batch {BATCH}, one direction, float32; whole steps of the engine; "
        f"CPU time on one thread, wall-clock on more; {machine()}."
    )
    yield Table("Training throughput", note, rows(quick))
