"""Sums of exponentials against the plain sum in float64: every form, values, both adjoints, any length, poles on the unit circle."""

import importlib.util
import math

import pytest
import torch

from src.ops.backend import values_and_gradients
from src.ops.blocks import table_lengths
from src.ops.diagonal import (
    LOG_VANDERMONDE,
    LOG_VANDERMONDE_TRANSPOSE,
    log_vandermonde,
    log_vandermonde_transpose,
)

pytestmark = pytest.mark.usefixtures("poisoned")
LENGTHS = [1, 2, 3, 7, 63, 64, 65, 127, 1000]
FUSED_LENGTHS = [1, 3, 64, 300]  # Triton's interpreter is slow; 300 steps are two blocks in float64
NEEDS_TRITON = pytest.mark.skipif(
    importlib.util.find_spec("triton") is None, reason="Triton has no build for this platform"
)
FAST_FORMS = ["torch", pytest.param("triton", marks=NEEDS_TRITON)]
FORMS_AND_LENGTHS = [
    *((form, L) for form in ("reference", "torch") for L in LENGTHS),
    *(pytest.param("triton", L, marks=NEEDS_TRITON) for L in FUSED_LENGTHS),
]


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


@pytest.mark.parametrize(("form", "L"), FORMS_AND_LENGTHS)
@pytest.mark.parametrize("lead", [(), (2, 3)])
@pytest.mark.parametrize("field", ["real", "complex"])
def test_equals_the_plain_sum(field, lead, form, L):
    w, z = system(field, *lead)
    K = log_vandermonde(w, z, L, form)
    assert K.dtype == torch.float64
    torch.testing.assert_close(K, plain(w, z, L), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("L", [1, 2, 7, 17])
@pytest.mark.parametrize("field", ["real", "complex"])
def test_gradients_of_both_operations(field, L):
    """Finite differences; the other forms are then compared with `torch`."""
    w, z = (x.requires_grad_() for x in system(field, 2, H=2, N=3))
    u = torch.randn(2, 2, L, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda w, z: log_vandermonde(w, z, L), (w, z))
    assert torch.autograd.gradcheck(log_vandermonde_transpose, (u, z))


@pytest.mark.parametrize(("form", "L"), FORMS_AND_LENGTHS)
@pytest.mark.parametrize("field", ["real", "complex"])
def test_the_transpose_is_the_transpose(field, form, L):
    """<K(w), u> = Re(w . m(u)) for all w and u."""
    w, z = system(field, 2)
    u = torch.randn(2, 3, L, dtype=torch.float64)
    left = (log_vandermonde(w, z, L) * u).sum()
    right = (w * log_vandermonde_transpose(u, z, form)).sum().real
    torch.testing.assert_close(left, right, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize(("form", "L"), FORMS_AND_LENGTHS)
@pytest.mark.parametrize("field", ["real", "complex"])
def test_all_gradients_agree(field, form, L):
    w, z = (x.requires_grad_() for x in system(field, 2, H=1, N=17))  # more states than a fused kernel takes at once
    u = torch.randn(2, 1, L, dtype=torch.float64, requires_grad=True)

    def run(form):
        K = values_and_gradients(lambda w, z: log_vandermonde(w, z, L, form), [w, z])
        return K + values_and_gradients(lambda u, z: log_vandermonde_transpose(u, z, form), [u, z])

    for ours, expected in zip(run(form), run("torch" if form == "reference" else "reference"), strict=True):
        torch.testing.assert_close(ours, expected, rtol=1e-10, atol=1e-10 * float(expected.abs().max()))


@pytest.mark.parametrize("form", FAST_FORMS)
@pytest.mark.parametrize("field", ["real", "complex"])
def test_single_precision(field, form):
    """Values and all gradients in float32 within 1e-6 of the largest entry in float64, poles on the unit circle included."""
    w, z = system(field, 2, H=2, N=16)
    z.real[:, 0] = 0
    u = torch.randn(2, 2, 500, dtype=torch.float64)

    def run(form, w, u):
        w, u, poles = (x.clone().requires_grad_() for x in (w, u, z))
        K = values_and_gradients(lambda w, z: log_vandermonde(w, z, 500, form), [w, poles])
        return K + values_and_gradients(lambda u, z: log_vandermonde_transpose(u, z, form), [u, poles])

    single = run(form, w.to(torch.complex64 if w.is_complex() else torch.float32), u.float())
    for ours, exact in zip(single, run("reference", w, u), strict=True):
        assert (ours - exact).abs().max() < 1e-6 * exact.abs().max()


@NEEDS_TRITON
@pytest.mark.parametrize("op", [LOG_VANDERMONDE, LOG_VANDERMONDE_TRANSPOSE], ids=lambda op: op.name)
def test_the_probe_passes_several_blocks_in_single_precision(op):
    assert op.error("triton", torch.device("cpu")) < 1e-6


@NEEDS_TRITON
@pytest.mark.parametrize("L", [1, 5000])
def test_the_host_side_of_the_fused_kernels_looks_at_no_value(L, monkeypatch):
    """On `meta` there are none: whatever asked for one would fail, as it would wait for a GPU and break a captured graph."""
    fused = pytest.importorskip("src.ops.diagonal.triton")
    launched = []
    monkeypatch.setattr(fused, "launch", lambda kernel, *arguments, **options: launched.append(kernel))
    w, z = (x.to("meta").requires_grad_() for x in system("complex", 2))
    u = torch.empty(2, 3, L, device="meta", requires_grad=True)
    (log_vandermonde(w, z, L, "triton").sum() + log_vandermonde_transpose(u, z, "triton").real.sum()).backward()
    assert launched == [fused.sums, fused.moments, fused.sums, fused.moments, fused.moments]
    assert [x.grad.shape == x.shape for x in (w, z, u)] == [True] * 3


@NEEDS_TRITON
def test_fused_frequencies_of_hundreds_of_radians_a_step():
    w, z = system("complex", H=1, N=3)
    z = torch.complex(torch.zeros_like(z.real), 300 * z.imag)
    exact = plain(w, z, 1000)
    ours = log_vandermonde(w.to(torch.complex64), z, 1000, "triton")
    assert (ours - exact).abs().max() < 1e-6 * exact.abs().max()


@NEEDS_TRITON
@pytest.mark.parametrize("part", ["real", "imag"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_fused_kernels_hide_no_broken_pole(part, value):
    """An angle as an integer has no nan; a run that diverged must be seen all the same."""
    w, z = system("complex", H=2)
    getattr(z, part)[0, 1] = value
    K = log_vandermonde(w, z, 10, "triton")
    assert not K[0].isfinite().all()
    assert K[1].isfinite().all()


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
