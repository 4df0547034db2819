"""`check_layer`: every layer of the package passes, and each way to break the contract is named."""

import pytest
import torch
from torch import nn

from src.errors import UserError
from src.layers.contract import check_layer, system_of
from tests.test_library import LAYERS, H


class Sum(nn.Module):
    """h_t = h_(t-1) + x_t, y = h."""

    def forward(self, x, state=None, lengths=None, return_state=False):
        y = x.cumsum(1) + (0 if state is None else state[:, None])
        return (y, y[:, -1]) if return_state else y

    def step(self, x, state, system=None):
        return x + state, x + state

    def default_state(self, *batch):
        return torch.zeros(*batch, H)


def broken(**methods):
    return type("Broken", (Sum,), methods)()


@pytest.mark.parametrize("name", LAYERS)
def test_every_layer_of_the_package_passes(name):
    torch.manual_seed(0)
    layer = LAYERS[name]()
    before = torch.random.get_rng_state()
    check_layer(layer, H)
    assert layer.training
    assert torch.equal(torch.random.get_rng_state(), before)


def test_a_layer_of_ones_own_passes_without_discrete():
    check_layer(Sum(), H)
    assert system_of(Sum()) is None


def test_a_layer_that_sees_the_future_needs_forward_alone():
    class Reversed(nn.Module):
        bidirectional = True

        def forward(self, x, state=None, lengths=None, return_state=False):
            return x * 2

    check_layer(Reversed(), H)
    with pytest.raises(ValueError, match="no step"):
        system_of(Reversed())


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (object(), "object is no torch.nn.Module"),
        (nn.Module(), r"lacks the method forward\(x, state=None"),
        (broken(step=None), r"lacks the method step\(x, state, system=None\).*bidirectional = True"),
        (broken(default_state=None), r"lacks the method default_state"),
        (broken(step=lambda self, x: x), r"Broken.step\(x\) is called as step\(x, state, system=None\)"),
        (broken(forward=lambda self, x, state, lengths, return_state: x[..., :1]), r"forward gives a tensor \(2, 7, 1\)"),
        (broken(forward=lambda self, x, state, lengths, return_state: [x]), "forward gives a list"),
        (broken(forward=lambda self, x, state, lengths, return_state: x.cumsum(1)), r"must return \(y, state\)"),
        (broken(step=lambda self, x, state, system: x), r"step must return \(y, state\)"),
        (broken(step=lambda self, x, state, system: (x, state)), "step after step and forward differ by"),
        (broken(default_state=lambda self, *batch: torch.ones(*batch, H)), "step after step and forward differ by 1"),
        (broken(forward=lambda self, x, state, lengths, return_state: x / 0 @ x), "forward raises RuntimeError"),
        (broken(bidirectional=True, forward=lambda self, x, *_: x.flip(1).cumsum(1).flip(1)), "forward with lengths and"),
        (broken(forward=lambda self, x, state, lengths, last: (x.cumsum(1), x.sum(1)) if last else x.cumsum(1)), "in two chunks"),
    ],
)  # fmt: skip
def test_what_is_broken_is_named(layer, message):
    with pytest.raises(UserError, match=message):
        check_layer(layer, H)


def test_complex_parameters_are_named():
    layer = Sum()
    layer.A = nn.Parameter(torch.zeros(2, dtype=torch.complex64))
    with pytest.raises(UserError, match=r"Sum.A is complex.*view_as_real"):
        check_layer(layer, H)
