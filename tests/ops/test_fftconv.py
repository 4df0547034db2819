"""The FFT convolution against the sum that defines it: causal and two-sided, every gradient, any length, blocks of any size."""

import pytest
import torch
from torch.nn.functional import pad

from src.ops import fftconv as module
from src.ops.fftconv import fftconv

pytestmark = pytest.mark.usefixtures("poisoned")
LENGTHS = [1, 2, 3, 7, 63, 64, 65, 127, 1000]


def plain(u, K, future=None):
    """y[t] = sum_j K[j] u[t - j] + sum_j F[j] u[t + 1 + j], lag by lag; K (C, H, L)."""
    L = u.shape[-1]
    y = sum(pad(u[..., : L - j], (j, 0)).unsqueeze(1) * K[..., j : j + 1] for j in range(L))
    if future is not None:
        y = y + sum(pad(u[..., j + 1 :], (0, min(j + 1, L))).unsqueeze(1) * future[..., j : j + 1] for j in range(L))
    return y


def tensors(L, B=2, H=3, C=2):
    generator = torch.Generator().manual_seed(L)
    shapes = [(B, H, L), (C, H, L), (C, H, L)]
    return [torch.randn(shape, dtype=torch.float64, generator=generator, requires_grad=True) for shape in shapes]


@pytest.mark.parametrize("L", LENGTHS)
@pytest.mark.parametrize("two_sided", [False, True])
def test_equals_the_sum_and_so_do_its_gradients(L, two_sided):
    u, K, F = tensors(L)
    inputs = (u, K, F) if two_sided else (u, K)
    ours, exact = fftconv(*inputs), plain(*inputs)
    torch.testing.assert_close(ours, exact, rtol=1e-11, atol=1e-11)
    weights = torch.randn_like(exact)
    for a, b in zip(*(torch.autograd.grad(y, inputs, weights) for y in (ours, exact)), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("L", [1, 2, 5])
def test_gradcheck(L):
    assert torch.autograd.gradcheck(fftconv, tensors(L))


def test_one_kernel_for_each_channel_needs_no_extra_axis():
    u, K, F = tensors(20, C=1)
    torch.testing.assert_close(fftconv(u, K[0]), fftconv(u, K)[:, 0])
    torch.testing.assert_close(fftconv(u, K[0], F[0]), fftconv(u, K, F)[:, 0])


def test_causal_by_gradient():
    u, K, _ = tensors(50, B=1, C=1)
    jacobian = torch.autograd.functional.jacobian(lambda u: fftconv(u, K)[0, 0].sum(0), u)[:, 0].sum(1)
    assert torch.triu(jacobian, 1).abs().max() < 1e-14
    assert torch.tril(jacobian).abs().max() > 0.1


@pytest.mark.parametrize("size", [1, 1 << 12, 1 << 30])
def test_blocks_do_not_show(size, monkeypatch):
    u, K, F = tensors(65, H=7)
    whole = fftconv(u, K, F)
    monkeypatch.setattr(module, "BLOCK_BYTES", size)
    assert torch.equal(fftconv(u, K, F), whole)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_input_is_computed_in_float32(dtype):
    u, K, _ = (x.detach().to(dtype) for x in tensors(100))
    with torch.autocast("cpu", torch.bfloat16):
        y = fftconv(u, K)
    assert y.dtype == torch.float32
    assert torch.equal(y, fftconv(u.float(), K.float()))


def test_only_inputs_are_kept_for_the_backward_pass():
    u, K, _ = tensors(100)
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda x: kept.append(x.numel()) or x, lambda x: x):
        fftconv(u, K)
    assert sum(kept) == u.numel() + K.numel()


def test_shapes_that_do_not_fit_are_refused():
    u, K, _ = tensors(10)
    with pytest.raises(ValueError, match="expected u"):
        fftconv(u, K[..., :5])
