"""Discretisation of diagonal systems: every form against `src.linalg.discretise`, gradients, poles at and near 0, fast ones."""

import importlib.util

import numpy as np
import pytest
import torch

from src.linalg.discretise import bilinear_diagonal, zoh_diagonal
from src.ops.backend import values_and_gradients
from src.ops.discretise import DISCRETISATIONS, DISCRETISE, discretise

pytestmark = pytest.mark.usefixtures("poisoned")
NEEDS_TRITON = pytest.mark.skipif(
    importlib.util.find_spec("triton") is None, reason="Triton has no build for this platform"
)
FORMS = ["torch", pytest.param("triton", marks=NEEDS_TRITON)]
RULES = {"zoh": zoh_diagonal, "bilinear": bilinear_diagonal}
FIELDS = ["real", "complex"]


def system(field, H=3, N=5, seed=0):
    """Poles from nearly 0 to fast ones, |dt Lambda| from 1e-6 to some hundred; bilinear over the reals needs > -2."""
    rng = np.random.default_rng(seed)
    dt = np.exp(rng.uniform(np.log(1e-3), np.log(0.5), H))
    Lambda = -np.exp(rng.uniform(np.log(1e-3), np.log(3.0), (H, N)))
    if field == "complex":
        Lambda = Lambda + 1j * rng.standard_normal((H, N)) * np.exp(rng.uniform(np.log(1e-3), np.log(500.0), (H, N)))
    return torch.from_numpy(Lambda), torch.from_numpy(dt)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("disc", DISCRETISATIONS)
@pytest.mark.parametrize("field", FIELDS)
def test_equals_the_rule(field, disc, form):
    Lambda, dt = system(field)
    zeta, gain = discretise(Lambda, dt, disc, form)
    assert zeta.dtype == gain.dtype == Lambda.dtype
    A, B = RULES[disc](Lambda.numpy(), 1.0, dt.numpy()[:, None])
    torch.testing.assert_close(zeta.exp(), torch.from_numpy(A), rtol=1e-13, atol=1e-13)
    torch.testing.assert_close(gain, torch.from_numpy(B), rtol=1e-13, atol=0)


@pytest.mark.parametrize("disc", DISCRETISATIONS)
@pytest.mark.parametrize("field", FIELDS)
def test_gradients_of_the_definition(field, disc):
    Lambda, dt = (x.requires_grad_() for x in system(field, H=2, N=2))
    assert torch.autograd.gradcheck(lambda Lambda, dt: discretise(Lambda, dt, disc, "reference"), (Lambda, dt))


@NEEDS_TRITON
@pytest.mark.parametrize("disc", DISCRETISATIONS)
@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize(("H", "N"), [(1, 1), (3, 5), (4, 1), (2, 33)])
def test_fused_values_and_gradients(H, N, field, disc):
    def run(form):
        leaves = [x.requires_grad_() for x in system(field, H, N)]
        return values_and_gradients(lambda Lambda, dt: discretise(Lambda, dt, disc, form), leaves)

    for ours, expected in zip(run("triton"), run("reference"), strict=True):
        torch.testing.assert_close(ours, expected, rtol=1e-10, atol=1e-10 * float(expected.abs().max()))


@NEEDS_TRITON
@pytest.mark.parametrize("disc", DISCRETISATIONS)
@pytest.mark.parametrize("field", FIELDS)
def test_fused_is_exact_down_to_a_pole_at_zero(field, disc):
    """There, with z = dt Lambda -> 0: zeta = z, gain = dt, d gain / d Lambda = dt^2 / 2, d gain / d dt = 1."""
    sizes = torch.tensor([[0.0, 1e-300, 1e-17, 1e-9]], dtype=torch.float64)
    Lambda = torch.complex(-sizes, sizes.flip(1)) if field == "complex" else -sizes
    Lambda, dt = Lambda.requires_grad_(), torch.tensor([0.25], dtype=torch.float64, requires_grad=True)
    zeta, gain = discretise(Lambda, dt, disc, "triton")
    torch.testing.assert_close(zeta, 0.25 * Lambda, rtol=1e-9, atol=0)
    torch.testing.assert_close(gain, torch.full_like(gain, 0.25), rtol=1e-9, atol=1e-9)
    dLambda, ddt = torch.autograd.grad(torch.real(gain).sum(), (Lambda, dt))
    torch.testing.assert_close(dLambda, torch.full_like(Lambda, 0.25**2 / 2), rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(ddt, torch.full_like(dt, 4.0), rtol=1e-9, atol=0)


@NEEDS_TRITON
def test_fused_angles_in_all_quadrants():
    """The logarithm of the bilinear rule, also of unstable poles and exactly on the axes."""
    q = np.array([[0.5, 2.0, -0.5, -3.0, 0.3j, 5j, -0.3j, -5j, 1j, 0.4 + 0.4j, -2 + 1j, -2 - 1j, 3 - 0.1j, 1e3j]])
    zeta, _ = discretise(torch.from_numpy(2 * q), torch.ones(1, dtype=torch.float64), "bilinear", "triton")
    expected = np.log((1 + q) / (1 - q))
    torch.testing.assert_close(zeta.exp(), torch.from_numpy((1 + q) / (1 - q)), rtol=1e-13, atol=1e-13)
    turns = (zeta.numpy() - expected).imag / (2 * np.pi)  # pi and -pi are one angle
    np.testing.assert_allclose(turns, np.rint(turns), atol=1e-15)


@NEEDS_TRITON
@pytest.mark.parametrize("disc", DISCRETISATIONS)
def test_fused_kernels_hide_no_broken_pole(disc):
    Lambda = torch.tensor(
        [[complex(-1, 1), complex(-1, float("nan")), complex(float("nan"), 1)]], dtype=torch.complex128
    )
    zeta, _ = discretise(Lambda, torch.ones(1, dtype=torch.float64), disc, "triton")
    assert zeta.isnan().tolist() == [[False, True, True]]


@NEEDS_TRITON
def test_one_kernel_each_way_and_no_value_looked_at(monkeypatch):
    """On `meta` there are no values: whatever asked for one would fail."""
    fused = pytest.importorskip("src.ops.discretise.triton")
    launched = []
    monkeypatch.setattr(fused, "launch", lambda kernel, *arguments, **options: launched.append(kernel))
    Lambda, dt = (x.to("meta").requires_grad_() for x in system("complex"))
    zeta, gain = discretise(Lambda, dt, "zoh", "triton")
    (zeta + gain).real.sum().backward()
    assert launched == [fused.values, fused.gradients]
    assert (Lambda.grad.shape, dt.grad.shape) == (Lambda.shape, dt.shape)


@NEEDS_TRITON
def test_the_probe_passes():
    assert DISCRETISE.error("triton", torch.device("cpu")) < 1e-10


@pytest.mark.parametrize(("disc", "form", "words"), [("euler", None, "euler"), ("zoh", "nope", "nope")])
def test_unknown_names(disc, form, words):
    with pytest.raises(ValueError, match=words):
        discretise(*system("real"), disc, form)
