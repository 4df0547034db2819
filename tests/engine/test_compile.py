"""torch.compile is used where it gives the same numbers, and said to be off where it does not."""

import copy

import pytest
import torch
from torch import nn

from src.engine import classification
from src.engine.compile import compiled
from tests.engine.ports import fit
from tests.engine.small import data, network


class Wrong(nn.Module):
    """A compiler's mistake: the right loss to a part in a hundred."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, x):
        return self.model(x) * 1.01


def fails(model):
    raise RuntimeError("no C compiler\nwas found")


@pytest.mark.parametrize(
    ("compiler", "words"),
    [(Wrong, "differs from the model as written by"), (fails, "failed (no C compiler)")],
)
def test_what_is_wrong_or_fails_is_not_used(monkeypatch, compiler, words):
    monkeypatch.setattr(torch, "compile", compiler)
    lines, model = [], network()
    assert compiled(model, classification, data(), lines.append) is model
    assert len(lines) == 1
    assert words in lines[0]
    assert "\n" not in lines[0]


def test_what_is_right_is_used_and_the_check_leaves_no_trace(monkeypatch):
    monkeypatch.setattr(torch, "compile", copy.copy)
    lines, model = [], network()
    before, state = copy.deepcopy(model.state_dict()), torch.get_rng_state()
    fast = compiled(model, classification, data(), lines.append)
    assert fast is not model
    assert lines[0].startswith("torch.compile: on")
    assert model.training
    assert all(parameter.grad is None for parameter in model.parameters())
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.slow
def test_real_compiler_trains_the_same():
    from src.engine import Plan, TensorBatches
    from tests.engine.small import CPU, start

    ends, lines = [], []
    for compile in (False, True):
        state = start(network(dropout=0.0, norm=False))
        fit(
            state,
            TensorBatches(data(), 16, seed=1),
            classification,
            Plan(max_epochs=2, compile=compile),
            CPU,
            say=lines.append,
        )
        ends.append(torch.cat([p.flatten() for p in state.model.parameters()]))
    assert lines[0].startswith("torch.compile: on")
    torch.testing.assert_close(*ends, rtol=1e-4, atol=1e-5)
