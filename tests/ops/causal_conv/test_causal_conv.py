"""The causal convolution in every form against its definition, forward and every gradient, with a state in and out."""

import pytest
import torch

from src.ops.backend import has_triton
from src.ops.causal_conv import CAUSAL_CONV, causal_conv_silu

INTERPRETER = has_triton(torch.device("cpu"))
FAST = ["torch", "compiled", pytest.param("triton", marks=pytest.mark.skipif(not INTERPRETER, reason="no Triton here"))]

pytestmark = pytest.mark.usefixtures("poisoned")


def leaves(L, K, b=2, D=5, dtype=torch.float64):
    generator = torch.Generator().manual_seed(L)
    shapes = (b, L, D), (K, D), (D,), (b, K - 1, D)
    return [torch.randn(shape, generator=generator, dtype=dtype).requires_grad_() for shape in shapes]


def values_and_gradients(arguments, backend):
    """Returns y, the state after it and all gradients, under random weights on both outputs."""
    outputs = causal_conv_silu(*arguments, backend=backend)
    generator = torch.Generator().manual_seed(1)
    weights = [torch.randn(y.shape, generator=generator, dtype=y.dtype).to(y.device) for y in outputs]
    loss = sum((w * y).sum() for w, y in zip(weights, outputs, strict=True))
    return [*outputs, *torch.autograd.grad(loss, arguments, materialize_grads=True)]


@pytest.mark.parametrize("backend", FAST)
@pytest.mark.parametrize("K", [1, 2, 4])
@pytest.mark.parametrize("L", [1, 2, 3, 4, 33])
def test_equals_definition(L, K, backend):
    got, want = (values_and_gradients(leaves(L, K), name) for name in (backend, "reference"))
    torch.testing.assert_close(got, want, rtol=1e-10, atol=1e-10)


@pytest.mark.skipif(not INTERPRETER, reason="no Triton here")
@pytest.mark.parametrize("programs", [1, 5])
def test_segments_of_several_groups_and_blocks_of_channels(monkeypatch, programs):
    """33 steps as one segment of five groups, and as three of two; 70 channels are two blocks."""
    monkeypatch.setattr("src.ops.causal_conv.triton.PROGRAMS", programs)
    case = leaves(33, 4, b=1, D=70)
    got, want = (values_and_gradients(case, name) for name in ("triton", "reference"))
    torch.testing.assert_close(got, want, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("backend", FAST)
def test_the_probe_of_a_card_accepts_every_form(backend):
    assert CAUSAL_CONV.error(backend, torch.device("cpu")) < 1e-6


@pytest.mark.gpu
@pytest.mark.parametrize("backend", ["torch", "triton"])
@pytest.mark.parametrize("K", [1, 2, 4])
def test_on_a_gpu(K, backend):
    for L in (1, 2, 3, 33, 1000):
        case = leaves(L, K, D=70)
        got = values_and_gradients([x.detach().cuda().requires_grad_() for x in case], backend)
        torch.testing.assert_close([x.cpu() for x in got], values_and_gradients(case, "reference"))


@pytest.mark.parametrize("backend", ["torch", "compiled"])
def test_gradcheck(backend):
    run = lambda *arguments: causal_conv_silu(*arguments, backend=backend)
    assert torch.autograd.gradcheck(run, leaves(6, 4, b=1, D=2))


@pytest.mark.parametrize("backend", FAST)
def test_chunks_with_state_equal_the_whole(backend):
    x, weight, bias, state = leaves(20, 4)
    whole, last = causal_conv_silu(x, weight, bias, state, backend)
    parts = []
    for part in (slice(0, 2), slice(2, 3), slice(3, 20)):
        y, state = causal_conv_silu(x[:, part], weight, bias, state, backend)
        parts.append(y)
    torch.testing.assert_close((torch.cat(parts, 1), state), (whole, last))


def test_no_state_is_zero():
    x, weight, bias, state = leaves(5, 4)
    torch.testing.assert_close(
        causal_conv_silu(x, weight, bias), causal_conv_silu(x, weight, bias, torch.zeros_like(state)), rtol=0, atol=0
    )


@pytest.mark.filterwarnings("ignore:overflow encountered in exp")
@pytest.mark.parametrize("backend", ["reference", *FAST])
def test_large_values_do_not_overflow(backend):
    """A sigmoid whose exponential overflows is 0 or 1, and so are its slopes."""
    case = [100 * x.detach() for x in leaves(9, 2, dtype=torch.float32)]
    for value in values_and_gradients([x.requires_grad_() for x in case], backend):
        assert torch.isfinite(value).all()


@pytest.mark.parametrize("backend", ["reference", *FAST])
def test_half_precision_is_computed_in_float32(backend):
    x, weight, bias, state = (tensor.detach() for tensor in leaves(9, 4, dtype=torch.float32))
    x = x.bfloat16().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        y, after = causal_conv_silu(x, weight, bias, state, backend)
    want, _ = causal_conv_silu(x.float(), weight, bias, state, "reference")
    torch.testing.assert_close(y, want, rtol=1e-5, atol=1e-5)
    assert after.dtype == torch.float32
    assert torch.autograd.grad(y.sum(), x)[0].dtype == torch.bfloat16


@pytest.mark.parametrize("backend", FAST)
def test_strided_arguments(backend):
    x, weight, bias, state = leaves(9, 4)
    tricky = [x.transpose(0, 1).contiguous().transpose(0, 1), weight.T.contiguous().T, bias, state]
    got, want = (causal_conv_silu(*case, backend=backend) for case in (tricky, (x, weight, bias, state)))
    torch.testing.assert_close(got, want, rtol=1e-12, atol=1e-12)


def test_unknown_backend_is_refused():
    with pytest.raises(ValueError, match="backend 'nope'"):
        causal_conv_silu(*leaves(3, 2), backend="nope")
