"""Every parameter is in exactly one group, and the tags decide which."""

import pytest
import torch
from torch import nn

from src.engine import group_table, make_optimizer, parameter_groups
from src.errors import UserError
from src.kernels.parameters import register


class Layer(nn.Module):
    def __init__(self):
        super().__init__()
        register(self, "inv_dt", torch.ones(4), lr=0.001)
        register(self, "A", torch.ones(4, 2), lr=0.001)
        register(self, "C", torch.ones(4, 2), lr=None, weight_decay=None)
        register(self, "B", torch.ones(4, 2), lr=0.0)
        self.output = nn.Linear(4, 8)
        self.norm = nn.LayerNorm(8)


def model() -> nn.Sequential:
    return nn.Sequential(nn.Embedding(5, 4), Layer(), Layer(), nn.BatchNorm1d(8), nn.Linear(8, 2))


def settings(groups) -> dict[str, tuple[float, float]]:
    return {name: (group.lr, group.weight_decay) for group in groups for name in group.parameters}


def test_every_parameter_is_in_exactly_one_group():
    net = model()
    groups = parameter_groups(net, 0.01, 0.05)
    names = [name for group in groups for name in group.parameters]
    assert sorted(names) == sorted(name for name, _ in net.named_parameters())
    optimizer = make_optimizer("adamw", groups)
    ids = [id(p) for group in optimizer.param_groups for p in group["params"]]
    assert sorted(ids) == sorted(id(p) for p in net.parameters())


def test_tags_and_kinds_decide():
    found = settings(parameter_groups(model(), 0.01, 0.05))
    assert found["1.inv_dt"] == found["1.A"] == (0.001, 0.0)
    assert found["1.C"] == found["1.output.weight"] == found["4.weight"] == (0.01, 0.05)
    for undecayed in ("0.weight", "1.output.bias", "1.norm.weight", "1.norm.bias", "3.weight", "3.bias", "4.bias"):
        assert found[undecayed] == (0.01, 0.0), undecayed


def test_decay_of_biases_and_norms_can_be_asked_for():
    found = settings(parameter_groups(model(), 0.01, 0.05, bias_weight_decay=True))
    assert found["1.output.bias"] == found["1.norm.bias"] == (0.01, 0.05) != found["1.norm.weight"]
    found = settings(parameter_groups(model(), 0.01, 0.05, normalization_weight_decay=True))
    assert found["1.norm.weight"] == found["3.weight"] == (0.01, 0.05) != found["1.norm.bias"]


def test_the_global_group_comes_first_and_rates_are_kept():
    optimizer = make_optimizer("adam", parameter_groups(model(), 0.01, 0.05), betas=[0.8, 0.9])
    assert (optimizer.param_groups[0]["lr"], optimizer.param_groups[0]["weight_decay"]) == (0.01, 0.05)
    assert all(group["initial_lr"] == group["lr"] and group["betas"] == (0.8, 0.9) for group in optimizer.param_groups)
    assert isinstance(make_optimizer("sgd", parameter_groups(model(), 0.1), momentum=0.9), torch.optim.SGD)


def test_frozen_parameters_are_left_out():
    net = nn.Linear(2, 2)
    net.bias._optim = {"lr": 0.0}
    groups = parameter_groups(net, 0.1)
    assert list(settings(groups)) == ["weight"]
    assert not net.bias.requires_grad
    table = group_table(net, groups).splitlines()
    assert table[-1].split() == ["bias", "1", "2", "frozen", "-", "float32"]


def test_a_tied_parameter_is_taken_once():
    embedding, head = nn.Embedding(5, 4), nn.Linear(4, 5, bias=False)
    head.weight = embedding.weight
    assert list(settings(parameter_groups(nn.Sequential(embedding, head), 0.1))) == ["0.weight"]


def test_the_table_joins_layers():
    net = model()
    rows = group_table(net, parameter_groups(net, 0.01, 0.05)).splitlines()
    assert [" ".join(row.split()) for row in rows if ".inv_dt" in row] == ["*.inv_dt 2 8 0.001 0 float32"]


@pytest.mark.parametrize(
    ("tags", "message"),
    [({"learning_rate": 1.0}, "unknown optimizer tag 'learning_rate'"), ({"lr": -1.0}, "at least 0")],
)
def test_bad_tags_are_errors(tags, message):
    net = nn.Linear(2, 2)
    net.weight._optim = tags
    with pytest.raises(ValueError, match=message):
        parameter_groups(net, 0.1)


def test_complex_parameters_are_errors():
    net = nn.Linear(2, 2, dtype=torch.complex64)
    with pytest.raises(ValueError, match="'weight' is complex"):
        parameter_groups(net, 0.1)


def test_user_errors():
    with pytest.raises(UserError, match="did you mean 'adamw'"):
        make_optimizer("adamvw", parameter_groups(model(), 0.1))
    with pytest.raises(UserError, match="beta"):
        make_optimizer("adamw", parameter_groups(model(), 0.1), beta=0.9)
    with pytest.raises(UserError, match="lr > 0"):
        parameter_groups(model(), 0.0)
    with pytest.raises(UserError, match="no trainable parameter"):
        parameter_groups(nn.GELU(), 0.1)
