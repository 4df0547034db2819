"""S6 and the Mamba block: what they compute, their fields and switches, parameter counts, causality, states."""

from itertools import product

import pytest
import torch
import torch.nn.functional as F

from src.errors import UserError
from src.layers.mamba import SSMType, mamba_block
from src.layers.s6 import S6, Selective

MIXES = [Selective(*mix) for mix in product([True, False], repeat=3)]
TYPES = list(SSMType)


def by_the_definition(layer, x, z):
    """The recurrence written out in loops over time and states, from the layer's own parameters."""
    planes, N = layer.planes, layer.N
    complex_of = lambda flat: torch.view_as_complex(flat.unflatten(-1, (N, 2)).contiguous()) if planes == 2 else flat
    A = -layer.A_log.exp() + (1j * layer.A_imag if planes == 2 else 0)
    low, flat_B, flat_C = layer.x_proj(x).split(layer.widths, -1) if layer.x_proj is not None else (None, None, None)
    h, outputs = 0, []
    for t in range(x.shape[1]):
        drive = low[:, t] @ layer.dt_weight.T if layer.selective.dt else torch.zeros_like(x[:, t])
        dt = F.softplus(drive + layer.inv_dt)
        B = complex_of(flat_B[:, t])[:, None] if layer.selective.B else complex_of(layer.B.flatten(1))
        C = complex_of(flat_C[:, t])[:, None] if layer.selective.C else complex_of(layer.C.flatten(1))
        h = torch.exp(dt[..., None] * A) * h + (dt * x[:, t])[..., None] * B
        outputs.append(planes * (C * h).real.sum(-1) + layer.D * x[:, t])
    return torch.stack(outputs, 1) * F.silu(z)


@pytest.mark.parametrize("over_complex", [False, True])
@pytest.mark.parametrize("selective", MIXES, ids=str)
def test_computes_its_definition(over_complex, selective):
    torch.manual_seed(0)
    layer = S6(6, 4, over_complex=over_complex, selective=selective, dt_rank=2).double()
    x, z = torch.randn(2, 2, 40, 6, dtype=torch.float64)
    torch.testing.assert_close(layer(x, z), by_the_definition(layer, x, z))
    torch.testing.assert_close(layer(x), by_the_definition(layer, x, z) / F.silu(z))


@pytest.mark.parametrize("over_complex", [False, True])
@pytest.mark.parametrize("selective", MIXES, ids=str)
def test_only_selective_parts_look_at_the_input(over_complex, selective):
    """With nothing selective the layer is linear and time-invariant; one selective part is enough to end that."""
    torch.manual_seed(0)
    layer = S6(6, 4, over_complex=over_complex, selective=selective, dt_rank=2).double()
    x = torch.randn(2, 20, 6, dtype=torch.float64)
    linear = torch.allclose(layer(3 * x), 3 * layer(x), atol=1e-12)
    assert linear == (selective == Selective(False, False, False))


@pytest.mark.parametrize("selective", MIXES, ids=str)
def test_both_fields_have_as_many_parameters(selective):
    real, field = (S6(8, 6, over_complex=over, selective=selective) for over in (False, True))
    count = lambda layer: sum(p.numel() for p in layer.parameters())
    assert count(real) == count(field)
    assert field.default_state(3).shape == (3, 8, 3)
    assert field.default_state(3).is_complex()


def test_starts_as_published():
    torch.manual_seed(0)
    layer = S6(512, 16, over_complex=True, selective=Selective(B=False, dt=False), constant_dt="exp", D_init="normal")
    constants = layer.discrete()
    torch.testing.assert_close(constants.A[3].real, -torch.arange(1.0, 9))
    torch.testing.assert_close(constants.A[3].imag, torch.pi * torch.arange(8.0))
    assert constants.dt.min() > 0.001
    assert constants.dt.max() < 0.1
    assert 0.009 < constants.dt.log().mean().exp() < 0.011  # log-uniform: the geometric mean is the middle
    bound = 512**-0.5
    assert layer.B.abs().max() <= bound
    assert layer.B.std().item() == pytest.approx(bound / 3**0.5, rel=0.05)
    assert layer.D.std().item() == pytest.approx(1, rel=0.1)
    assert torch.equal(S6(4).D, torch.ones(4))


def test_both_transforms_of_a_constant_dt_start_alike():
    dts = []
    for transform in ("softplus", "exp"):
        torch.manual_seed(0)
        dts.append(S6(32, selective=Selective(dt=False), constant_dt=transform).discrete().dt)
    torch.testing.assert_close(*dts)


@pytest.mark.parametrize("kind", TYPES)
def test_no_parameter_is_complex_and_each_learns(kind):
    torch.manual_seed(0)
    block = mamba_block(16, kind, d_state=4)
    (block.double()(torch.randn(2, 12, 16, dtype=torch.float64)) ** 2).sum().backward()
    for name, parameter in block.named_parameters():
        assert not parameter.is_complex(), name
        assert parameter.grad.abs().max() > 0, name


@pytest.mark.parametrize("kind", TYPES)
def test_block_is_causal(kind):
    """The gradient of y_t is exactly zero after t and not zero before (an FFT leaves rounding behind)."""
    torch.manual_seed(0)
    block, u = mamba_block(8, kind, d_state=4).double(), torch.randn(1, 20, 8, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(block(u)[0, 11].sum(), u)
    size = gradient[0].abs().amax(-1)
    assert size[:12].min() > 1e-9
    assert size[12:].max() <= (0 if kind.selective else 1e-13)


@pytest.mark.parametrize("kind", TYPES)
def test_block_by_steps_and_by_chunks(kind):
    torch.manual_seed(0)
    block, u = mamba_block(8, kind, d_state=4).double(), torch.randn(2, 20, 8, dtype=torch.float64)
    whole, last = block(u, return_state=True)
    state, outputs = block.default_state(2), []
    for t in range(20):
        y, state = block.step(u[:, t], state)
        outputs.append(y)
    torch.testing.assert_close(torch.stack(outputs, 1), whole)
    torch.testing.assert_close(tuple(state), tuple(last))
    first, middle = block(u[:, :7], return_state=True)
    torch.testing.assert_close(torch.cat([first, block(u[:, 7:], middle)], 1), whole)


@pytest.mark.parametrize("kind", [SSMType.S4D_REAL, SSMType.S4D_COMPLEX])
def test_gate_of_s4d(kind):
    """Published on a GPU, the S4D types lose their gate: then z, the second half of in_proj, does nothing."""
    torch.manual_seed(0)
    u = torch.randn(1, 9, 8)
    for gate in (True, False):
        block = mamba_block(8, kind, d_state=4, gate=gate)
        before = block(u)
        with torch.no_grad():
            block.in_proj.weight[16:] += 1
        assert torch.equal(block(u), before) != gate


def test_state_of_a_padded_batch_is_refused():
    block = mamba_block(8, SSMType.S6_REAL)
    with pytest.raises(ValueError, match="padded"):
        block(torch.randn(2, 5, 8), lengths=torch.tensor([5, 3]), return_state=True)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"d_state": 5, "over_complex": True}, "even"),
        ({"D_init": "one"}, "did you mean 'ones'"),
        ({"constant_dt": "softpluss"}, "did you mean 'softplus'"),
    ],
)
def test_misuse_is_refused(options, message):
    with pytest.raises(UserError, match=message):
        S6(8, **options)
