"""What stands around an SSM: norms that ignore padding, tied dropout, gates."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from src.errors import UserError
from src.kernels import DiagonalKernel
from src.layers import Mixer, S4Block
from src.layers.dropout import Dropout
from src.layers.norm import BatchNorm, make_norm
from src.layers.padding import last_valid, valid, zero_padding

LENGTHS = torch.tensor([3, 7, 1])


def test_padding_helpers():
    x = torch.arange(42.0).view(3, 7, 2)
    assert valid(LENGTHS, 7).sum(1).tolist() == [3, 7, 1]
    assert torch.equal(zero_padding(x, LENGTHS)[0, 3:], torch.zeros(4, 2))
    assert torch.equal(last_valid(x, LENGTHS), torch.stack([x[0, 2], x[1, 6], x[2, 0]]))
    assert zero_padding(x, None) is x
    with pytest.raises(ValueError, match="lengths"):
        valid(LENGTHS.float(), 7)


@pytest.mark.parametrize("training", [True, False])
def test_batch_norm_with_padding_is_that_of_the_valid_steps(training):
    """Output, gradients and running statistics are those of `nn.BatchNorm1d` on the valid steps alone."""
    torch.manual_seed(0)
    ours, theirs = BatchNorm(5).double().train(training), nn.BatchNorm1d(5).double().train(training)
    weight = torch.randn(5, dtype=torch.float64)
    mask = valid(LENGTHS, 7)
    for _ in range(3):
        x = 2 + 3 * torch.randn(3, 7, 5, dtype=torch.float64)
        padded, packed = x.clone().requires_grad_(), x[mask].clone().requires_grad_()
        y, want = ours(padded, LENGTHS), theirs(packed)
        assert torch.allclose(y[mask], want, atol=1e-12)
        (y[mask].sin() * weight).sum().backward()
        (want.sin() * weight).sum().backward()
        assert torch.allclose(padded.grad[mask], packed.grad, atol=1e-12)
        assert training is False or not padded.grad[~mask].any()
    for (name, mine), other in zip(ours.state_dict().items(), theirs.state_dict().values(), strict=True):
        assert torch.allclose(mine, other, atol=1e-12), name
    for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.allclose(mine.grad, other.grad, atol=1e-10)


def test_batch_norm_without_padding_is_torchs():
    torch.manual_seed(0)
    x = torch.randn(3, 7, 5)
    want = nn.BatchNorm1d(5)(x.transpose(1, 2)).transpose(1, 2)
    assert torch.allclose(BatchNorm(5)(x), want, atol=1e-6)
    assert torch.allclose(BatchNorm(5)(x, torch.tensor([7, 7, 7])), want, atol=1e-6)


def test_batch_norm_step_needs_eval():
    with pytest.raises(ValueError, match="eval"):
        BatchNorm(5)(torch.randn(2, 5))
    assert BatchNorm(5).eval()(torch.randn(1, 5)).shape == (1, 5)


def test_norms_by_name():
    assert make_norm("batch", 4, momentum=0.05).momentum == 0.05
    x = torch.randn(2, 3, 4)
    assert torch.allclose(make_norm("layer", 4)(x), F.layer_norm(x, (4,)))
    assert make_norm(None, 4)(x) is x
    with pytest.raises(UserError, match="did you mean 'batch'"):
        make_norm("bach", 4)


def test_tied_dropout_drops_whole_channels():
    torch.manual_seed(0)
    drop, x = Dropout(0.3, tie=True), torch.ones(200, 4, 50)
    y = drop(x)
    assert (y == y[:, :1]).all()
    assert y.unique().tolist() == pytest.approx([0, 1 / 0.7])
    assert (y == 0).float().mean().item() == pytest.approx(0.3, abs=0.02)
    free = Dropout(0.3)(x)
    assert not (free == free[:, :1]).all()
    assert (free == 0).float().mean().item() == pytest.approx(0.3, abs=0.02)
    assert torch.equal(drop.eval()(x), x)


def test_gates_are_their_formulas():
    y = torch.randn(2, 3, 4)
    v = F.gelu(y)
    for final in ("glu", "half_glu1", "half_glu2", "id", None):
        mixer = Mixer(4, 4, "gelu", final)
        W = None if final is None else mixer.linear(v)
        want = {
            "glu": lambda W: W[..., :4] * torch.sigmoid(W[..., 4:]),
            "half_glu1": lambda W: v * torch.sigmoid(W),
            "half_glu2": lambda W: y * torch.sigmoid(W),
            "id": lambda W: W,
            None: lambda W: v,
        }[final](W)
        assert torch.allclose(mixer(y), want)


@pytest.mark.parametrize(
    ("mistake", "hint"),
    [
        (lambda: Mixer(4, 4, "gel"), "did you mean 'gelu'"),
        (lambda: Mixer(4, 4, final="gluu"), "did you mean 'glu'"),
        (lambda: Mixer(8, 4, final="half_glu1"), "keeps the number of channels"),
        (lambda: S4Block(DiagonalKernel(4, d_state=4, channels=1), bidirectional=True), "even number of channels"),
    ],
)
def test_misuse_says_what_is_wrong(mistake, hint):
    with pytest.raises(UserError, match=hint):
        mistake()


def test_without_skip_there_is_no_D():
    layer = S4Block(DiagonalKernel(4, d_state=4), skip=False, activation=None, final_act=None)
    assert layer.D is None
    with torch.no_grad():
        layer.kernel.C.zero_()
        assert not layer(torch.randn(1, 5, 4)).any()
        assert not layer.step(torch.randn(1, 4), layer.default_state(1))[0].any()
