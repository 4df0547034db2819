"""The fused convolution against torch's, forward and every gradient, with a state in and out."""

import pytest
import torch
import torch.nn.functional as F

from src.ops.causal_conv import causal_conv_silu


def plain(x, weight, bias, state):
    padded = torch.cat([state, x], 1)
    v = F.conv1d(padded.transpose(1, 2), weight.T.unsqueeze(1), bias, groups=len(bias)).transpose(1, 2)
    return F.silu(v), padded[:, padded.shape[1] - len(weight) + 1 :]


def leaves(L, K, b=2, D=5):
    torch.manual_seed(L)
    shapes = (b, L, D), (K, D), (D,), (b, K - 1, D)
    return [torch.randn(*shape, dtype=torch.float64).requires_grad_() for shape in shapes]


@pytest.mark.parametrize("K", [1, 2, 4])
@pytest.mark.parametrize("L", [1, 2, 3, 4, 33])
def test_equals_torch(L, K):
    arguments = leaves(L, K)
    got, want = causal_conv_silu(*arguments), plain(*arguments)
    torch.testing.assert_close(got, want)
    weights = [torch.randn_like(tensor) for tensor in want]
    gradients = [
        torch.autograd.grad(
            sum((w * y).sum() for w, y in zip(weights, side, strict=True)), arguments, materialize_grads=True
        )
        for side in (got, want)
    ]
    torch.testing.assert_close(*gradients)


def test_gradcheck():
    assert torch.autograd.gradcheck(causal_conv_silu, leaves(6, 4, b=1, D=2))


def test_chunks_with_state_equal_the_whole():
    x, weight, bias, state = leaves(20, 4)
    whole, last = causal_conv_silu(x, weight, bias, state)
    parts = []
    for part in (slice(0, 2), slice(2, 3), slice(3, 20)):
        y, state = causal_conv_silu(x[:, part], weight, bias, state)
        parts.append(y)
    torch.testing.assert_close((torch.cat(parts, 1), state), (whole, last))


def test_no_state_is_zero():
    x, weight, bias, state = leaves(5, 4)
    torch.testing.assert_close(
        causal_conv_silu(x, weight, bias), causal_conv_silu(x, weight, bias, torch.zeros_like(state)), rtol=0, atol=0
    )
