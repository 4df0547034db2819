"""A step reads no value of any tensor: on a GPU the host never waits for it.

Twice: on a CPU all operations are looked at; on torch's device "meta" a tensor has no values, so that reading one is an error, and what
is made on the host and copied to the device is seen too.
"""

import contextlib

import pytest
import torch
from torch import nn

from src.dataloaders.base import Batch
from src.engine import Ema, Plan, TrainState, make_optimizer, parameter_groups
from src.engine.device import loss_scaler
from src.engine.state import seed_all
from src.engine.step import Step
from src.experiments.classify.goal import ClassShares
from src.experiments.selectivity_work import scores
from src.kernels import DiagonalKernel, DPLRKernel
from src.layers import S4Block
from src.models import Classifier, ResidualBackbone, Tower
from src.models.mamba_config import MambaConfig
from src.models.mamba_lm import MambaLM
from src.tasks.tokens import Copy
from tests.engine.waits import watched

H, B, L = 8, 4, 24


def classifier(kernel, encoder: nn.Module, mode: str) -> Classifier:
    layers = [S4Block(kernel(H, 8), dropout=0.1) for _ in range(2)]
    return Classifier(Tower(encoder, ResidualBackbone(layers, H, norm="batch", dropout=0.1), mode), 3)


def fixed(kernel=DiagonalKernel):
    return (
        classifier(kernel, nn.Linear(1, H), "pool"),
        ClassShares((2, 2, 2)).objective,
        Batch(torch.randn(B, L, 1), torch.arange(B) % 3),
    )


def text():
    x, lengths = torch.randint(1, 9, (B, L)), torch.tensor([24, 7, 1, 13])
    x[torch.arange(L) >= lengths[:, None]] = 0
    return (
        classifier(DiagonalKernel, nn.Embedding(9, H, padding_idx=0), "last"),
        ClassShares((2, 2, 2)).objective,
        Batch(x, x[:, 0] % 3, lengths),
    )


def mamba(ssm_type: str):
    task = Copy(delay=3, extra=3)
    return MambaLM(MambaConfig(ssm_type=ssm_type, d_model=H, d_state=4)), scores(3), task.batch(0, 0, B)


CASES = {
    "fixed length": fixed,
    "fixed length, DPLR": lambda: fixed(DPLRKernel),
    "text with lengths": text,
    "mamba, real": lambda: mamba("S6-Real"),
    "mamba, complex": lambda: mamba("S6-Complex"),
}


def a_step(make, device: torch.device, **options) -> tuple[Step, list]:
    """A step with clipping, averaging and two micro-batches, and its batches."""
    seed_all(0)
    model, measure, batch = make()
    model = model.to(device)
    optimizer = make_optimizer("adamw", parameter_groups(model, 0.01, 0.05), **options)
    state = TrainState(model, optimizer, ema=Ema(model, 0.9), scaler=loss_scaler(device, "fp32"))
    plan = Plan(accumulate_grad_batches=2, gradient_clip_val=1.0, check_every=50)
    return Step(state, model, measure, plan, device), [batch, batch]


@pytest.fixture
def plain_torch(monkeypatch):
    """No loops outside of torch's operations, which only a CPU has."""
    monkeypatch.setenv("SSM_BACKEND", "torch")


@pytest.mark.parametrize("name", list(CASES))
def test_no_value_is_read_in_a_step(name, plain_torch):
    step, batches = a_step(CASES[name], torch.device("cpu"), fused=True)  # as on a GPU: its counters are on the device
    step(batches)
    with watched() as found:
        step(batches)
    assert found == []


@pytest.mark.parametrize("name", list(CASES))
def test_a_step_runs_where_no_value_can_be_read(name, monkeypatch):
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: contextlib.nullcontext())  # it does not know the device
    step, batches = a_step(CASES[name], torch.device("meta"))
    step(batches)
    with watched() as found:
        step(batches)
    # plain adamw reads its own counters, which are on the host; a batch is copied without waiting
    assert [wait for wait in found if wait not in ("_local_scalar_dense", "item")] == []
    with pytest.raises((RuntimeError, NotImplementedError), match="meta"):
        step.check_finite()


def test_a_wait_would_be_seen():
    x = torch.arange(4.0)
    for read in (
        lambda: x.sum().item(),
        lambda: x[x > 1],
        lambda: x.tolist(),
        lambda: bool(x.any()),
        lambda: x.unique(),
    ):
        with watched() as found:
            read()
        assert found
    with watched() as found:
        torch.tensor(3.0, device="meta")
        x.to("meta")
    assert found == ["tensor", "_to_copy to meta"]


@pytest.mark.gpu
@pytest.mark.parametrize("name", list(CASES))
def test_a_gpu_is_not_waited_for(name):
    step, batches = a_step(CASES[name], torch.device("cuda"))
    batches = [type(batch)(*(x if x is None else x.cuda() for x in batch)) for batch in batches]
    step(batches)
    torch.cuda.set_sync_debug_mode("error")
    try:
        step(batches)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    step.check_finite()
