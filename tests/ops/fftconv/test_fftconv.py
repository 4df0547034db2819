"""The FFT convolution against the sum that defines it: every form, causal and two-sided, every gradient, any length, blocks of any size."""

import numpy as np
import pytest
import torch
from torch.nn.functional import pad

from src.ops.backend import has_triton
from src.ops.fftconv import FFTCONV, fftconv
from src.ops.fftconv import torch as module
from src.ops.fftconv.length import fft_length
from src.ops.fftconv.plan import plan, points

pytestmark = pytest.mark.usefixtures("poisoned")
LENGTHS = [1, 2, 3, 7, 63, 64, 65, 127, 1000]
CPU, CUDA = torch.device("cpu"), torch.device("cuda")
CASES = [(form, L) for form in ("torch", "compiled") for L in LENGTHS]
CASES += [(form, L) for form in ("reference", "triton") for L in (1, 2, 13, 40)]
# Triton's interpreter does not round to bfloat16 but cuts: see test_triton.py
HALF = [(f, t) for f in FFTCONV.forms for t in (torch.float16, torch.bfloat16) if (f, t) != ("triton", torch.bfloat16)]


def plain(u, K, future=None):
    """y[t] = sum_j K[j] u[t - j] + sum_j F[j] u[t + 1 + j], lag by lag; K (C, H, L)."""
    L = u.shape[-1]
    y = sum(pad(u[..., : L - j], (j, 0)).unsqueeze(1) * K[..., j : j + 1] for j in range(L))
    if future is not None:
        y = y + sum(pad(u[..., j + 1 :], (0, min(j + 1, L))).unsqueeze(1) * future[..., j : j + 1] for j in range(L))
    return y


def require(form):
    if form == "triton" and not has_triton(CPU):
        pytest.skip("Triton has no build for this platform")


def tensors(L, B=2, H=3, C=2):
    generator = torch.Generator().manual_seed(L)
    shapes = [(B, H, L), (C, H, L), (C, H, L)]
    return [torch.randn(shape, dtype=torch.float64, generator=generator, requires_grad=True) for shape in shapes]


@pytest.mark.parametrize(("form", "L"), CASES)
@pytest.mark.parametrize("two_sided", [False, True])
def test_equals_the_sum_and_so_do_its_gradients(form, L, two_sided):
    require(form)
    u, K, F = tensors(L)
    inputs = (u, K, F) if two_sided else (u, K)
    ours, exact = fftconv(*inputs, backend=form), plain(*inputs)
    torch.testing.assert_close(ours, exact, rtol=1e-11, atol=1e-11)
    weights = torch.randn_like(exact)
    for a, b in zip(*(torch.autograd.grad(y, inputs, weights) for y in (ours, exact)), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("L", [1, 15, 16, 40, 300])
@pytest.mark.parametrize("H", [1, 3, 17, 37])
@pytest.mark.parametrize("C", [1, 2])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_channels_that_sixteen_does_not_divide_have_the_bits_of_the_torch_form_in_every_layout(L, H, C, dtype):
    generator = torch.Generator().manual_seed(L)
    K = torch.randn(C, H, L, generator=generator, requires_grad=True)
    flat = torch.randn(2, L, H, generator=generator).to(dtype)
    for u in (flat.transpose(1, 2), flat.transpose(1, 2).contiguous(), flat[:, :, :1].transpose(1, 2).expand(2, H, L)):
        u = u.detach().requires_grad_()
        for weights in (torch.randn(2, L, C, H).permute(0, 2, 3, 1), torch.randn(2, C, H, L)):
            results = []
            for form in ("torch", "compiled"):
                y = fftconv(u, K, backend=form)
                results.append([y, *torch.autograd.grad(y, (u, K), weights)])
            assert all(torch.equal(a, b) and a.stride() == b.stride() for a, b in zip(*results, strict=True))


@pytest.mark.parametrize("L", [*LENGTHS, 48, 784])
@pytest.mark.parametrize(("B", "C", "H"), [(3, 1, 32), (2, 3, 16)])
@pytest.mark.parametrize("two_sided", [False, True])
def test_sixteen_channels_side_by_side_equal_the_sum_and_so_do_their_gradients(L, B, C, H, two_sided):
    exact_inputs = tensors(L, B, H, C)[: 3 if two_sided else 2]
    exact = fftconv(*exact_inputs, backend="torch" if L > 100 else "reference")
    weights = torch.randn(exact.shape, dtype=torch.float64)
    wanted = [exact, *torch.autograd.grad(exact, exact_inputs, weights)]
    for dtype, tolerance in ((torch.float64, 1e-14), (torch.float32, 1e-6)):
        inputs = [x.detach().to(dtype).requires_grad_() for x in exact_inputs]
        y = fftconv(*inputs, backend="compiled")
        got = [y, *torch.autograd.grad(y, inputs, weights.to(dtype))]
        for x, want in zip(got, wanted, strict=True):
            assert (x - want).abs().max() <= tolerance * want.abs().max()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_sixteen_channels_side_by_side_in_every_layout(dtype):
    flat, weights = torch.randn(2, 40, 16).to(dtype), torch.randn(2, 40, 2, 16).permute(0, 2, 3, 1)
    K, results = torch.randn(2, 16, 40, requires_grad=True), []
    for u, w in ((flat.transpose(1, 2), weights), (flat.transpose(1, 2).contiguous(), weights.contiguous())):
        u = u.detach().requires_grad_()
        y = fftconv(u, K, backend="compiled")
        assert y.stride(2) == 1
        results.append([y, *torch.autograd.grad(y, (u, K), w)])
    assert all(map(torch.equal, *results))


def test_bits_do_not_depend_on_threads_or_on_the_other_sequences():
    u, K, _ = (x.detach().float().requires_grad_() for x in tensors(70, B=3, H=48, C=1))
    run = lambda u: [y := fftconv(u, K, backend="compiled"), *torch.autograd.grad(y.square().sum(), (u, K))]
    one = run(u)
    torch.set_num_threads(2)
    try:
        assert all(map(torch.equal, run(u), one))
    finally:
        torch.set_num_threads(1)
    assert torch.equal(run(u[1:2])[0], one[0][1:2])


def test_a_plan_has_every_frequency_once_and_is_less_than_twice_too_long():
    for L in range(1, 3000):
        m = points(L)
        assert L <= m < max(5, 2 * L)
    for m in (4, 8, 12, 16, 48, 96, 1024):
        made = plan(m, "float64")
        assert sorted({*made.pairs.ravel()}) == list(range(m))
        x = np.arange(m // 2 + 1) / m
        assert np.allclose(made.turns[:, 0], np.cos(2 * np.pi * x))
        assert np.prod(made.factors) == m
        assert made.factors[0] == 4


@pytest.mark.parametrize("form", FFTCONV.forms)
def test_the_probe_finds_nothing(form):
    require(form)
    assert FFTCONV.error(form, CPU) < 2e-6


@pytest.mark.parametrize("L", [1, 2, 5])
def test_gradcheck(L):
    assert torch.autograd.gradcheck(fftconv, tensors(L))


@pytest.mark.parametrize("form", FFTCONV.forms)
def test_one_kernel_for_each_channel_needs_no_extra_axis(form):
    require(form)
    u, K, F = tensors(20, C=1)
    assert torch.equal(fftconv(u, K[0], backend=form), fftconv(u, K, backend=form)[:, 0])
    assert torch.equal(fftconv(u, K[0], F[0], backend=form), fftconv(u, K, F, backend=form)[:, 0])


@pytest.mark.parametrize("H", [3, 16])
def test_causal_by_gradient(H):
    u, K, _ = tensors(50, B=1, H=H, C=1)
    jacobian = torch.autograd.functional.jacobian(lambda u: fftconv(u, K)[0, 0].sum(0), u)[:, 0].sum(1)
    assert torch.triu(jacobian, 1).abs().max() < 1e-13
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


@pytest.mark.parametrize(("form", "dtype"), HALF)
def test_half_precision_output_is_the_float32_one_rounded_once(form, dtype):
    """And a half-precision gradient counts as the float32 one that it is equal to."""
    require(form)
    u, K, F = (x.detach().float() for x in tensors(20))
    u, K, F = (x.requires_grad_() for x in (u.to(dtype), K, F))
    half, full = (fftconv(u, K, F, dtype=t, backend=form) for t in (dtype, None))
    assert half.dtype == dtype
    assert full.dtype == torch.float32
    assert torch.equal(half, full.to(dtype))
    weights = torch.randn_like(half)
    ours, same = (torch.autograd.grad(y, (u, K, F), weights.to(y.dtype)) for y in (half, full))
    assert ours[0].dtype == dtype
    assert all(map(torch.equal, ours, same))


@pytest.mark.parametrize("form", ["torch", "triton", "compiled"])
def test_only_inputs_are_kept_for_the_backward_pass(form):
    require(form)
    u, K, _ = tensors(30, H=16)
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda x: kept.append(x.numel()) or x, lambda x: x):
        fftconv(u, K, backend=form)
    assert sum(kept) == u.numel() + K.numel()


@pytest.mark.parametrize("device", [CPU, CUDA])
def test_transforms_are_long_enough_and_little_longer(device):
    for L in range(1, 2000):
        n = fft_length(L, device)
        assert 2 * L <= n <= 2.4 * L + 1
    assert [fft_length(2**k, CUDA) for k in (10, 14, 16)] == [2**11, 2**15, 2**17]


def test_lengths_on_a_gpu_have_one_small_odd_factor():
    odd = lambda n: n // (n & -n)
    assert {odd(fft_length(L, CUDA)) for L in range(1, 5000)} == {1, 3, 5, 7, 9}
    assert all(fft_length(L, CUDA) % 2 == 0 for L in range(1, 5000))


def test_shapes_that_do_not_fit_are_refused():
    u, K, _ = tensors(10)
    with pytest.raises(ValueError, match="expected u"):
        fftconv(u, K[..., :5])
