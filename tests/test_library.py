"""The public names: every layer under one signature, and what docs/library.md says each works under."""

import ast
import copy
from pathlib import Path

import pytest
import torch
from torch import nn

import src
from src import api
from src.errors import UserError

H, L = 8, 21
LAYERS = {
    "S4": lambda **kw: api.S4(H, 8, **kw),
    "S4D": lambda **kw: api.S4D(H, 8, **kw),
    "S4DReal": lambda **kw: api.S4DReal(H, 8, **kw),
    "S4PTD": lambda **kw: api.S4PTD(H, 8, **kw),
    "S5": lambda **kw: api.S5(H, 8, **kw),
    "Mamba": lambda **kw: api.Mamba(H, 8, **kw),
    "Mamba, complex": lambda **kw: api.Mamba(H, 8, over_complex=True, **kw),
}
every_layer = pytest.mark.parametrize("name", LAYERS)


def made(name, **options):
    torch.manual_seed(0)
    return LAYERS[name](**options), torch.randn(3, L, H)


def test_the_package_lists_what_the_api_lists_and_documents_it():
    assert sorted(src.__all__) == sorted(api.__all__)
    for name in src.__all__:
        assert getattr(src, name) is getattr(api, name)
        assert getattr(api, name).__doc__, name
    with pytest.raises(AttributeError, match="has no attribute 'S44'"):
        src.S44  # noqa: B018


def test_the_page_names_every_public_name():
    page = (Path(__file__).parents[1] / "docs" / "library.md").read_text()
    assert [name for name in src.__all__ if f"{name}" not in page and name != "Perturbation"] == []


@every_layer
def test_chunks_and_steps_equal_the_whole(name):
    layer, x = made(name)
    layer.eval()
    whole = layer(x)
    first, state = layer(x[:, :8], return_state=True)
    rest = layer(x[:, 8:], state)
    torch.testing.assert_close(torch.cat([first, rest], 1), whole, rtol=1e-4, atol=1e-5)
    state, system, steps = layer.default_state(3), layer.discrete(), []
    for t in range(L):
        y, state = layer.step(x[:, t], state, system)
        steps.append(y)
    torch.testing.assert_close(torch.stack(steps, 1), whole, rtol=1e-4, atol=1e-5)


@every_layer
def test_padding_changes_nothing_valid(name):
    layer, x = made(name)
    lengths = torch.tensor([L, 5, 1])
    dirty = x.clone()
    dirty[1, 5:], dirty[2, 1:] = 1e3, -1e3
    got, want = layer(dirty, lengths=lengths), layer(x, lengths=lengths)
    for b, length in enumerate(lengths):
        torch.testing.assert_close(got[b, :length], want[b, :length])


@every_layer
def test_half_precision_leaves_the_core_in_float32(name):
    layer, x = made(name)
    with torch.autocast("cpu", torch.bfloat16):
        y = layer(x)
    y.float().sum().backward()
    want = layer(x)
    assert (
        y.float() - want
    ).abs().max() < 0.05 * want.abs().max()  # bfloat16 has 8 bits in the products around the core
    assert all(p.grad.isfinite().all() and p.grad.dtype == p.dtype for p in layer.parameters() if p.grad is not None)


@every_layer
def test_torch_compile_computes_the_same(name):
    layer, x = made(name)
    eager, fast = layer, torch.compile(copy.deepcopy(layer), backend="aot_eager")
    torch.testing.assert_close(fast(x), eager(x), rtol=1e-4, atol=1e-5)
    fast(x).square().sum().backward()
    eager(x).square().sum().backward()
    for (key, p), q in zip(eager.named_parameters(), fast.parameters(), strict=True):
        torch.testing.assert_close(q.grad, p.grad, rtol=1e-3, atol=1e-4 * float(p.grad.abs().max()), msg=key)


@every_layer
def test_every_parameter_gets_a_gradient_and_is_real(name):
    """What DistributedDataParallel asks of a module without find_unused_parameters."""
    layer, x = made(name)
    layer(x).sum().backward()
    assert all(p.grad is not None for p in layer.parameters())
    assert not any(p.is_complex() for p in layer.parameters())


def test_layers_train_under_ddp(tmp_path):
    import torch.distributed as dist

    dist.init_process_group("gloo", init_method=f"file://{tmp_path}/rendezvous", rank=0, world_size=1)
    try:
        for name in LAYERS:
            layer, x = made(name)
            wrapped = nn.parallel.DistributedDataParallel(copy.deepcopy(layer))
            wrapped(x).square().sum().backward()
            layer(x).square().sum().backward()
            for p, q in zip(layer.parameters(), wrapped.module.parameters(), strict=True):
                torch.testing.assert_close(q.grad, p.grad)
    finally:
        dist.destroy_process_group()


@every_layer
def test_a_step_can_be_exported(name):
    from src.export import Step, flat_state

    layer, x = made(name)
    step = Step(layer.eval())
    state = flat_state(layer, 3)
    with torch.no_grad():
        program = torch.export.export(step, (x[:, 0], *state)).module()
        for t in range(3):
            got = program(x[:, t], *state)
            want = step(x[:, t], *state)
            for a, b in zip(got, want, strict=True):
                torch.testing.assert_close(a, b)
            state = want[1:]


def test_groups_hold_every_parameter_once_at_its_own_rate():
    model = nn.Sequential(nn.Linear(H, H), *(layer() for layer in LAYERS.values()))
    groups = api.parameter_groups(model, 0.01, 0.05)
    members = [p for group in groups for p in group["params"]]
    assert len(members) == len({id(p) for p in members}) == len(list(model.parameters()))
    rate = {id(p): (group["lr"], group["weight_decay"]) for group in groups for p in group["params"]}
    assert rate[id(model[0].weight)] == (0.01, 0.05)
    assert rate[id(model[1].kernel.inv_dt)] == (0.001, 0.0)
    torch.optim.AdamW(groups).step()


@pytest.mark.parametrize("name", ["S4", "S4D", "S4DReal", "S4PTD", "S5"])
def test_a_bidirectional_layer_has_no_step(name):
    layer, x = made(name, bidirectional=True)
    assert layer(x).shape == x.shape
    with pytest.raises(ValueError, match="no step"):
        layer.default_state(3)


def test_wrong_values_say_what_was_expected():
    E = api.load_perturbation(n=8)
    with pytest.raises(UserError, match="d_state=8"):
        api.S4PTD(H, 16, perturbation=E)
    with pytest.raises(UserError, match="blocks = 3 must divide d_state = 8"):
        api.S5(H, 8, blocks=3)
    with pytest.raises(UserError, match="a path or an order"):
        api.load_perturbation()


def test_only_the_api_is_imported_by_name():
    tree = ast.parse((Path(src.__file__)).read_text())
    imports = [node for node in tree.body if isinstance(node, (ast.Import, ast.ImportFrom))]
    assert [alias.name for node in imports for alias in node.names] == ["importlib"]
