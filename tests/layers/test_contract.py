"""What every layer promises, for every kernel: convolution = recurrence = chunks, causality, padding, precision, parameters."""

import pytest
import torch

from src.kernels import DiagonalKernel, DPLRKernel, ptd_kernel
from src.layers import S5, S4Block, S5Block
from src.layers.s5_init import perturbed_eigenbasis
from tests.layers.ssm_cases import ALL, BIDIRECTIONAL, CAUSAL, H, make, perturbed


def run_steps(layer, x, state, system=None):
    outputs = []
    for x_t in x.unbind(1):
        y, state = layer.step(x_t, state, system)
        outputs.append(y)
    return torch.stack(outputs, 1), state


def close(x, y, tolerance):
    """The largest difference relative to the largest value."""
    return (x - y).abs().max() <= tolerance * y.abs().max().clamp(min=1)


@pytest.mark.parametrize("name", CAUSAL)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 1e-4)])
def test_step_equals_convolution(name, dtype, tolerance):
    layer = make(name, dtype)
    with torch.no_grad():
        for B, L in [(1, 1), (2, 2), (2, 33), (1, 64)]:
            x = torch.randn(B, L, H, dtype=dtype)
            y, state = layer(x, return_state=True)
            assert y.shape == x.shape
            stepped, after = run_steps(layer, x, layer.default_state(B), layer.discrete())
            assert y.dtype == stepped.dtype == dtype
            assert close(stepped, y, tolerance)
            assert close(after, state, tolerance)
            assert close(run_steps(layer, x, layer.default_state(B))[0], stepped, 1e-12)


@pytest.mark.parametrize(
    "kernel",
    [
        lambda: S4Block(DPLRKernel(H, d_state=64)),
        lambda: S4Block(DiagonalKernel(H, d_state=64)),
        lambda: S4Block(ptd_kernel(perturbed(32), H)),
        lambda: S5Block(S5(H, perturbed_eigenbasis(perturbed(32)), 2)),
    ],
)
def test_step_equals_convolution_in_float32_at_published_sizes(kernel):
    """d_state 64, 700 steps of the published dt range."""
    torch.manual_seed(0)
    layer, x = kernel(), torch.randn(1, 700, H)
    with torch.no_grad():
        stepped, _ = run_steps(layer, x, layer.default_state(1), layer.discrete())
        assert close(stepped, layer(x), 1e-4)


@pytest.mark.parametrize("name", CAUSAL)
def test_chunks_with_state_equal_the_whole(name):
    layer = make(name)
    x = torch.randn(2, 50, H, dtype=torch.float64, requires_grad=True)
    whole, last = layer(x, return_state=True)
    outputs, state = [], None
    for chunk in x.split([1, 16, 3, 30], dim=1):
        y, state = layer(chunk, state, return_state=True)
        outputs.append(y)
    assert close(torch.cat(outputs, 1), whole, 1e-10)
    assert close(state, last, 1e-10)
    (direct,) = torch.autograd.grad(whole.square().sum(), x)
    (through_states,) = torch.autograd.grad(torch.cat(outputs, 1).square().sum(), x)
    assert close(through_states, direct, 1e-9)


@pytest.mark.parametrize("name", CAUSAL)
def test_state_is_differentiable(name):
    layer = make(name)
    state = layer.default_state(2).normal_().requires_grad_()
    x = torch.randn(2, 9, H, dtype=torch.float64)
    y, after = layer(x, state, return_state=True)
    conv = torch.autograd.grad(y.square().sum() + after.abs().square().sum(), state)[0]
    y, after = run_steps(layer, x, state)
    step = torch.autograd.grad(y.square().sum() + after.abs().square().sum(), state)[0]
    assert conv.abs().max() > 0
    assert close(conv, step, 1e-9)


@pytest.mark.parametrize("name", CAUSAL)
def test_causality_by_gradient(name):
    """No later input has an influence, every earlier one has. A scan is causal bit by bit, an FFT to its rounding."""
    layer = make(name)
    for t in (0, 7, 19):
        x = torch.randn(1, 20, H, dtype=torch.float64, requires_grad=True)
        (g,) = torch.autograd.grad(layer(x)[0, t].square().sum(), x)
        influence = g[0].abs().amax(1)
        assert (influence[: t + 1] > 1e-6 * influence.max()).all()
        assert (influence[t + 1 :] <= (0 if name.startswith("S5") else 1e-12 * influence.max())).all()


@pytest.mark.parametrize("name", BIDIRECTIONAL)
def test_both_ways_sees_past_and_future(name):
    layer = make(name)
    x = torch.randn(1, 20, H, dtype=torch.float64, requires_grad=True)
    (g,) = torch.autograd.grad(layer(x)[0, 9].square().sum(), x)
    assert (g[0].abs().amax(1) > 1e-6 * g.abs().max()).all()


def test_both_ways_s4_by_its_definition():
    """y_t = sum_j K0[j] u_{t-j} + sum_j K1[j] u_{t+1+j} + D u_t, term by term."""
    for L in (1, 2, 7):
        torch.manual_seed(0)
        kernel = DiagonalKernel(H, d_state=4, channels=2)
        layer = S4Block(kernel, bidirectional=True, activation=None, final_act=None).double()
        u = torch.randn(1, L, H, dtype=torch.float64)
        K0, K1 = layer.kernel(L)
        want = layer.D[0] * u[0]
        for t in range(L):
            past = sum(K0[:, j] * u[0, t - j] for j in range(t + 1))
            want[t] = want[t] + past + sum(K1[:, j] * u[0, t + 1 + j] for j in range(L - t - 1))
        assert close(layer(u)[0], want, 1e-12)


def test_both_ways_s5_is_its_own_mirror():
    """With C1 = C2 the layer commutes with reversing time."""
    layer = make("S5 both ways")
    layer.ssm.C.data[1] = layer.ssm.C.data[0]
    x = torch.randn(2, 12, H, dtype=torch.float64)
    assert close(layer(x.flip(1)), layer(x).flip(1), 1e-12)


@pytest.mark.parametrize("name", BIDIRECTIONAL)
def test_both_ways_has_no_state_and_says_why(name):
    layer = make(name)
    x = torch.randn(1, 5, H, dtype=torch.float64)
    for use in (
        lambda: layer.step(x[:, 0], None),
        lambda: layer(x, return_state=True),
        lambda: layer(x, state=torch.zeros(1)),
        lambda: layer.default_state(1),
        lambda: layer.discrete(),
    ):
        with pytest.raises(ValueError, match="inputs still to come"):
            use()


@pytest.mark.parametrize("name", ALL)
def test_padding_changes_no_valid_output(name):
    layer = make(name)
    x = torch.randn(4, 21, H, dtype=torch.float64)
    lengths = torch.tensor([21, 1, 13, 20])
    for b, length in enumerate(lengths):
        x[b, length:] = float("nan")
    padded = layer(x, lengths=lengths)
    for b, length in enumerate(lengths):
        assert close(padded[b, :length], layer(x[b : b + 1, :length])[0], 1e-11)


@pytest.mark.parametrize("name", CAUSAL)
def test_state_of_a_padded_batch_is_that_of_the_valid_part(name):
    layer = make(name)
    x, start = torch.randn(4, 9, H, dtype=torch.float64), layer.default_state(4).normal_()
    lengths = torch.tensor([4, 9, 1, 4])
    _, state = layer(x, start, lengths, return_state=True)
    for b, length in enumerate(lengths):
        _, alone = layer(x[b : b + 1, :length], start[b : b + 1], return_state=True)
        assert close(state[b : b + 1], alone, 1e-11)


@pytest.mark.parametrize("name", ALL)
def test_core_is_float32_under_autocast(name):
    """The linear SSM under autocast equals the one outside to float32 rounding, far below that of bfloat16."""
    layer = make(name, torch.float32)
    layer.mixer = torch.nn.Identity()
    x = torch.randn(2, 40, H)
    with torch.autocast("cpu", torch.bfloat16):
        y = layer(x)
        assert y.dtype == torch.float32
        assert layer(x.bfloat16()).dtype == torch.float32
        if name in CAUSAL:
            stepped, _ = run_steps(layer, x, layer.default_state(2))
            assert stepped.dtype == torch.float32
            assert close(stepped, y, 1e-4)
    assert close(y, layer(x), 1e-6)


@pytest.mark.parametrize("name", ALL)
def test_parameters_are_real_and_free_of_the_length(name):
    layer = make(name, torch.float32).train()
    names = {key: value.shape for key, value in layer.state_dict().items()}
    assert not any(p.is_complex() for p in layer.parameters())
    for L in (64, 100, 1):
        layer(torch.randn(1, L, H)).sum().backward()
        assert {key: value.shape for key, value in layer.state_dict().items()} == names
    assert all(p.grad is not None and p.grad.isfinite().all() for p in layer.parameters())


@pytest.mark.parametrize("name", ALL)
def test_gradients_in_float32_are_those_of_float64(name):
    x, direction = torch.randn(2, 200, H), torch.randn(2, 200, H)
    gradients = []
    for dtype in (torch.float32, torch.float64):
        layer = make(name, torch.float32).to(dtype)
        (layer(x.to(dtype)) * direction.to(dtype)).sum().backward()
        gradients.append({key: p.grad for key, p in layer.named_parameters()})
    for key, exact in gradients[1].items():
        assert exact.abs().max() > 0, key
        assert (gradients[0][key] - exact).abs().max() < 1e-4 * exact.abs().max(), key


@pytest.mark.parametrize("name", ALL)
def test_a_checkpoint_reloads_bit_for_bit(name):
    layer, other = make(name, torch.float32), make(name, torch.float32)
    with torch.no_grad():
        for p in other.parameters():
            p.add_(1.0)
    other.load_state_dict(layer.state_dict())
    x = torch.randn(1, 30, H)
    assert torch.equal(layer(x), other(x))
