"""Sums of exponentials against the plain sum in float64: values, both adjoints, any length, poles on the unit circle."""

import math

import pytest
import torch

from src.ops.vandermonde import log_vandermonde, log_vandermonde_transpose, table_lengths

pytestmark = pytest.mark.usefixtures("poisoned")
LENGTHS = [1, 2, 3, 7, 63, 64, 65, 127, 1000]


def plain(w, z, L):
    """The definition, with the whole Vandermonde matrix."""
    powers = torch.exp(z.unsqueeze(-1) * torch.arange(L, dtype=torch.float64))
    return (
        torch.einsum("...hn,hnl->...hl", w, powers).real
        if w.is_complex()
        else torch.einsum("...hn,hnl->...hl", w, powers)
    )


def system(field, *lead, H=3, N=5):
    generator = torch.Generator().manual_seed(1)
    dtype = torch.complex128 if field == "complex" else torch.float64
    w = torch.randn(*lead, H, N, dtype=dtype, generator=generator)
    z = -0.1 * torch.rand(H, N, dtype=torch.float64, generator=generator)
    if field == "complex":
        z = torch.complex(z, 4 * torch.randn(H, N, dtype=torch.float64, generator=generator))
    return w, z


@pytest.mark.parametrize("L", LENGTHS)
@pytest.mark.parametrize("lead", [(), (2,), (2, 3)])
@pytest.mark.parametrize("field", ["real", "complex"])
def test_equals_the_plain_sum(field, lead, L):
    w, z = system(field, *lead)
    K = log_vandermonde(w, z, L)
    assert K.dtype == torch.float64
    torch.testing.assert_close(K, plain(w, z, L), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("L", [1, 2, 7, 17])
@pytest.mark.parametrize("field", ["real", "complex"])
def test_gradients_of_both_operations(field, L):
    w, z = (x.requires_grad_() for x in system(field, 2, H=2, N=3))
    u = torch.randn(2, 2, L, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda w, z: log_vandermonde(w, z, L), (w, z))
    assert torch.autograd.gradcheck(log_vandermonde_transpose, (u, z))


@pytest.mark.parametrize("L", LENGTHS)
@pytest.mark.parametrize("field", ["real", "complex"])
def test_the_transpose_is_the_transpose(field, L):
    """<K(w), u> = Re(w . m(u)) for all w and u."""
    w, z = system(field, 2)
    u = torch.randn(2, 3, L, dtype=torch.float64)
    left = (log_vandermonde(w, z, L) * u).sum()
    right = (w * log_vandermonde_transpose(u, z)).sum().real
    torch.testing.assert_close(left, right, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("L", [1000, 16384, 100_003])
def test_float32_stays_exact_on_the_unit_circle(L):
    """Poles with |exp(z)| = 1 never decay, and phases reach 10^5 radians: the whole error stays below 1e-5 of the peak."""
    w, z = system("complex", H=2, N=16)
    z = torch.complex(torch.zeros_like(z.real), z.imag)
    exact = plain(w, z, L)
    error = (log_vandermonde(w.to(torch.complex64), z, L) - exact).abs().max() / exact.abs().max()
    assert error < 1e-5


def test_a_gradient_without_memory_of_its_own():
    """`.sum()` sends back one number seen as a whole array; the result must not differ from a real array of ones."""
    w, z = system("complex")
    grads = [
        torch.autograd.grad(log_vandermonde(w, z, 64), z, g)[0]
        for z in [z.requires_grad_()]
        for g in (torch.ones(3, 64),)
    ]
    grads.append(torch.autograd.grad(log_vandermonde(w, z, 64).sum(), z)[0])
    torch.testing.assert_close(*grads)


def test_autocast_changes_nothing():
    w, z = system("complex")
    w, z = w.to(torch.complex64).requires_grad_(), z.requires_grad_()
    results = []
    for enabled in (False, True):
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            K = log_vandermonde(w, z, 100)
            results.append((K, *torch.autograd.grad(K.square().sum(), (w, z))))
    assert results[1][0].dtype == torch.float32
    for a, b in zip(*results, strict=True):
        assert torch.equal(a, b)


def test_only_the_parameters_are_kept_for_the_backward_pass():
    w, z = (x.requires_grad_() for x in system("complex"))
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda x: kept.append(x.numel()) or x, lambda x: x):
        log_vandermonde(w, z, 5000)
    assert sum(kept) == w.numel() + z.numel()


def test_table_lengths_cover_and_balance():
    for L in range(1, 2000):
        M, S = table_lengths(L)
        assert M * S >= L > (M - 1) * S
        assert 2 * math.sqrt(L) * 1.5 + 2 >= M + S


def test_no_kernel_of_length_zero():
    with pytest.raises(ValueError, match="at least 1"):
        log_vandermonde(*system("real"), 0)
