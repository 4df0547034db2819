"""A loss that is not finite stops the run, names the first bad tensor, and leaves the states on disk as they were."""

import math

import pytest
import torch
from torch import nn

from src.engine import GeneratedBatches, Plan, classification
from tests.engine.ports import FileStore, fit
from tests.engine.small import CPU, data, network, start

BAD_STEP = 8


class LogOfSecondOutput(nn.Module):
    """Gives infinity, without a bad parameter, when the input is exactly 0."""

    def forward(self, x):
        return torch.log(x.abs())


class SquareRoot(nn.Module):
    """Finite at 0, where its gradient is infinite."""

    def forward(self, x):
        return torch.sqrt(x)


def batches(spoil):
    """Batches of the small set; `spoil(x)` changes the inputs of the bad step."""
    x, y = data()

    def make(seed: int, number: int):
        inputs = x.clone()
        return (spoil(inputs) if number == BAD_STEP - 1 else inputs), y

    return GeneratedBatches(make, 5, seed=0)


def nan_in_input(x):
    x[3, 2] = math.nan
    return x


def train(state, source, plan=None, **ports):
    fit(state, source, classification, plan or Plan(max_epochs=4), CPU, say=lambda line: None, **ports)


def zeros(x):
    return torch.zeros_like(x)


def test_input():
    with pytest.raises(FloatingPointError, match=r"^step 8: .* is the input of 'Sequential'$"):
        train(start(network()), batches(nan_in_input))


def test_output_of_a_layer():
    net = nn.Sequential(nn.Linear(6, 16, bias=False), LogOfSecondOutput(), nn.Linear(16, 2))
    with pytest.raises(FloatingPointError, match=r"^step 8: .* is the output of '1'$"):
        train(start(net), batches(zeros))


def test_gradient():
    net = nn.Sequential(nn.Linear(6, 16, bias=False), SquareRoot(), nn.Linear(16, 2))
    nn.init.ones_(net[0].weight)
    x, y = data()
    positive = GeneratedBatches(lambda seed, n: (x.abs() * (n != BAD_STEP - 1), y), 5, seed=0)
    with pytest.raises(FloatingPointError, match=r"^step 8: .* is the gradient of '0.weight'$"):
        train(start(net, lr=1e-6), positive)


def test_a_frozen_buffer():
    net = network()
    net[0].register_buffer("A", torch.tensor([1.0, math.nan]))
    with pytest.raises(FloatingPointError, match=r"^step 8: .* is buffer '0.A'$"):
        train(start(net), batches(nan_in_input))


def test_parameter():
    state = start(network())

    def advance(n_steps: int) -> None:
        if state.step == BAD_STEP - 1:
            with torch.no_grad():
                state.model[4].bias[1] = math.inf

    with pytest.raises(FloatingPointError, match=r"^step 8: .* is parameter '4.bias'$"):
        train(state, batches(lambda x: x), advance=advance)


def test_the_loss_itself():
    def objective(model, batch):
        measures = classification(model, batch)
        loss, count = measures["loss"]
        return {**measures, "loss": type(measures["loss"])(loss * 1e39, count)}

    with pytest.raises(FloatingPointError, match=r"^step 1: .* is the loss$"):
        fit(start(network()), batches(lambda x: x), objective, Plan(max_epochs=1), CPU, say=lambda line: None)


@pytest.mark.parametrize("check_every", [None, 4, 1000])
def test_the_saved_states_are_from_before(tmp_path, check_every):
    store = FileStore(tmp_path, "a")
    plan = Plan(max_epochs=4, save_steps=1, check_every=check_every)
    with pytest.raises(FloatingPointError, match="step 8"):
        train(start(network()), batches(nan_in_input), plan, store=store)
    saved = store.load_state()
    assert saved["step"] == BAD_STEP - 1
    assert all(torch.isfinite(tensor).all() for tensor in saved["model"].values())


def test_weights_are_those_of_before_the_bad_step():
    state = start(network())
    with pytest.raises(FloatingPointError):
        train(state, batches(nan_in_input))
    assert all(torch.isfinite(p).all() for p in state.model.parameters())
