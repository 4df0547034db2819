"""The loop with real state-space models: groups from their tags, frozen parts, bits after a resume, half precision outside the core."""

import pytest
import torch
from torch import nn

from src.engine import (
    Evaluation,
    Plan,
    TensorBatches,
    TrainState,
    classification,
    make_optimizer,
    parameter_groups,
)
from src.engine.state import seed_all
from src.kernels import DiagonalKernel, DPLRKernel, Kernel
from src.layers import S4Block
from src.models import Classifier, ResidualBackbone, Tower
from tests.engine.ports import FileStore, fit
from tests.engine.small import CPU, fingerprint

H, L = 8, 40


def tones(n: int, length: int = L, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Slow or fast noisy cosines: (n, length, 1), and which."""
    generator = torch.Generator().manual_seed(seed)
    y = torch.randint(0, 2, (n,), generator=generator)
    phase = 6.28 * torch.rand(n, 1, generator=generator)
    x = torch.cos((0.2 + 0.6 * y[:, None]) * torch.arange(length) + phase)
    return (x + 0.3 * torch.randn(n, length, generator=generator)).unsqueeze(-1), y


def classifier(kernel: type, lr: object = 0.001) -> Classifier:
    seed_all(0)
    layers = [S4Block(kernel(H, 8, lr=lr), dropout=0.1) for _ in range(2)]
    return Classifier(Tower(nn.Linear(1, H), ResidualBackbone(layers, H, norm="batch", dropout=0.1)), 2)


def start(model: nn.Module) -> TrainState:
    return TrainState(model, make_optimizer("adamw", parameter_groups(model, 0.01, 0.05)))


def train(state: TrainState, max_epochs: int = 3, precision: str = "fp32", **ports):
    validation = Evaluation(TensorBatches(tones(50, seed=1), 16), classification, CPU, precision)
    plan = Plan(max_epochs=max_epochs, gradient_clip_val=1.0, save_steps=2, precision=precision)
    source = TensorBatches(tones(64), 16, seed=0)
    return fit(state, source, classification, plan, CPU, evaluators={"val": validation}, say=lambda line: None, **ports)


@pytest.mark.parametrize("kernel", [DiagonalKernel, DPLRKernel])
def test_resumed_models_end_with_the_same_bits(kernel, tmp_path):
    whole = start(classifier(kernel))
    expected = fingerprint(whole, train(whole))

    class Killed(Exception):
        pass

    state = start(classifier(kernel))

    def advance(n_steps: int) -> None:
        if state.step == 7:
            raise Killed

    with pytest.raises(Killed):
        train(state, store=FileStore(tmp_path, "a"), advance=advance)
    again = start(classifier(kernel))
    assert fingerprint(again, train(again, store=FileStore(tmp_path, "a"))) == expected


@pytest.mark.parametrize("kernel", [DiagonalKernel, DPLRKernel])
def test_the_cores_parameters_have_their_own_rate_and_never_decay(kernel):
    """What is trained slowly is found in the kernel itself, not by its tags: all but C."""
    model = classifier(kernel)
    core = {id(p) for m in model.modules() if isinstance(m, Kernel) for n, p in m.named_parameters() if n != "C"}
    groups = parameter_groups(model, 0.01, 0.05)
    slow = {id(p) for group in groups if group.lr == 0.001 for p in group.parameters.values()}
    assert slow == core
    assert len(core) >= 2 * 3
    assert all(group.weight_decay == 0 for group in groups if group.lr == 0.001)


def test_a_frozen_core_stays_as_it_was():
    model = classifier(DiagonalKernel, lr=0.0)
    kernel = model.tower.backbone.blocks[0].layer.kernel
    before = {name: tensor.clone() for name, tensor in kernel.state_dict().items()}
    train(start(model))
    after = kernel.state_dict()
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert moved == {"C"}


def test_half_precision_learns_and_the_checkpoint_serves_another_length(tmp_path):
    state = start(classifier(DiagonalKernel))
    result = train(state, max_epochs=10, precision="bf16", store=FileStore(tmp_path, "a"))
    assert result.best > 0.9
    assert {p.dtype for p in state.model.parameters()} == {torch.float32}
    longer = TensorBatches(tones(50, length=3 * L, seed=2), 16)
    metrics = Evaluation(longer, classification, CPU)(state.model)
    saved = FileStore(tmp_path, "a").load_best()["model"]
    other = classifier(DiagonalKernel)
    other.load_state_dict(saved)
    assert metrics["accuracy"] > 0.8
    assert all(tensor.numel() < L * H or tensor.ndim < 3 for tensor in saved.values())
