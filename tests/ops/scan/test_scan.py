"""The scan and its gradients against the definition, for every backend, real and complex, also where |a| is near 1."""

import pytest
import torch

from src.ops.backend import has_triton
from src.ops.scan import SCAN, scan

INTERPRETER = has_triton(torch.device("cpu"))
FAST = ["torch", "compiled", pytest.param("triton", marks=pytest.mark.skipif(not INTERPRETER, reason="no Triton here"))]
LENGTHS = [1, 2, 3, 63, 64, 65, 1000]
FEW_STEPS = [1, 2, 3, 4, 9, 22]  # for the interpreter: one to six segments, whose own scan has one or two
FORMS = ["constant", "shared", "per row"]

pytestmark = pytest.mark.usefixtures("poisoned")


@pytest.fixture(autouse=True)
def short_segments(monkeypatch):
    """The fused form in segments of four steps, or the interpreter would need minutes to reach a second one."""
    if INTERPRETER:
        for name in ("SHORTEST", "UNROLL"):
            monkeypatch.setattr(f"src.ops.scan.triton.{name}", 4)


def problem(L: int, dtype: torch.dtype, form: str, radius: tuple[float, float] = (0.9, 1.0), seed: int = 0):
    """Returns (a, b, h0, dh), |a| in the given range at random angles (complex) or signs (real); 2 x 2 rows, N = 3."""
    gen = torch.Generator().manual_seed(seed)
    lead = {"constant": (3,), "shared": (L, 3), "per row": (2, 2, L, 3)}[form]
    low, high = radius
    magnitude = low + (high - low) * torch.rand(lead, generator=gen, dtype=torch.float64)
    angle = 6.3 * torch.rand(lead, generator=gen, dtype=torch.float64)
    a = torch.polar(magnitude, angle) if dtype.is_complex else magnitude * torch.sign(torch.cos(angle))
    b, dh = (torch.randn(2, 2, L, 3, generator=gen, dtype=dtype) for _ in range(2))
    return a.to(dtype), b, torch.randn(2, 2, 3, generator=gen, dtype=dtype), dh


def values_and_gradients(a, b, h0, dh, **options) -> list[torch.Tensor]:
    leaves = [x.clone().requires_grad_() for x in (a, b, h0)]
    h = scan(*leaves, **options)
    return [h.detach(), *torch.autograd.grad(h, leaves, dh)]


@pytest.mark.parametrize("backend", FAST)
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
@pytest.mark.parametrize("reverse", [False, True])
def test_equals_definition(backend, form, dtype, reverse):
    for L in FEW_STEPS if backend == "triton" else LENGTHS:
        case = problem(L, dtype, form)
        got = values_and_gradients(*case, reverse=reverse, backend=backend)
        want = values_and_gradients(*case, reverse=reverse, backend="reference")
        for name, x, y in zip(("h", "da", "db", "dh0"), got, want, strict=True):
            assert x.shape == y.shape
            assert torch.allclose(x, y, rtol=1e-10, atol=1e-10), (name, L)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.skipif(not INTERPRETER, reason="no Triton here")
def test_more_lanes_than_one_program_has(form):
    a, b, h0, dh = problem(6, torch.complex128, form)
    case = [x.repeat_interleave(11, -1) for x in (a, b, h0, dh)]
    got, want = (values_and_gradients(*case, backend=name) for name in ("triton", "reference"))
    for name, x, y in zip(("h", "da", "db", "dh0"), got, want, strict=True):
        assert torch.allclose(x, y, rtol=1e-10, atol=1e-10), name


@pytest.mark.parametrize("backend", FAST)
def test_the_probe_of_a_card_accepts_every_form(backend):
    assert SCAN.error(backend, torch.device("cpu")) < 1e-6


@pytest.mark.gpu
@pytest.mark.parametrize("backend", ["torch", "triton"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("reverse", [False, True])
def test_on_a_gpu(backend, dtype, form, reverse):
    for L in (*LENGTHS, 20_000):
        case = problem(L, dtype, form)
        got = values_and_gradients(*(x.cuda() for x in case), reverse=reverse, backend=backend)
        for x, y in zip(got, values_and_gradients(*case, reverse=reverse), strict=True):
            assert x.is_cuda
            assert torch.allclose(x.cpu(), y, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("backend", FAST)
@pytest.mark.parametrize("form", FORMS)
def test_arguments_stay_as_they_were(backend, form):
    for L in (4, 5):
        case = problem(L, torch.float64, form)
        before = [x.clone() for x in case]
        values_and_gradients(*case, backend=backend)
        scan(*case[:3], backend=backend)
        assert all(torch.equal(x, y) for x, y in zip(case, before, strict=True))


@pytest.mark.parametrize("backend", ["torch", "compiled"])
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("L", [1, 2, 7])
def test_gradcheck_near_the_unit_circle(backend, form, reverse, L):
    a, b, h0, _ = problem(L, torch.complex128, form, radius=(0.99, 1.0))
    leaves = [x[..., :2].clone().requires_grad_() for x in (a, b, h0)]
    assert torch.autograd.gradcheck(lambda *x: scan(*x, reverse=reverse, backend=backend), leaves)


@pytest.mark.parametrize("backend", FAST)
@pytest.mark.parametrize("dtype", [torch.float32, torch.complex64])
@pytest.mark.parametrize("form", ["constant", "per row"])
def test_single_precision(backend, dtype, form):
    """Against float64 at L = 4000 (interpreted: 40) and |a| in [0.99, 1], relative to the largest entry."""
    case = problem(40 if backend == "triton" else 4000, dtype, form, radius=(0.99, 1.0))
    double = torch.complex128 if dtype.is_complex else torch.float64
    got = values_and_gradients(*case, backend=backend)
    want = values_and_gradients(*(x.to(double) for x in case), backend="compiled")
    for x, y in zip(got, want, strict=True):
        assert x.dtype == dtype
        assert (x - y).abs().max() < 2e-5 * y.abs().max()


@pytest.mark.parametrize("backend", FAST)
def test_vanishing_a(backend):
    """A zero, or a product that underflows, forgets the past and nothing else; dividing by products gives NaN here."""
    L = 20 if backend == "triton" else 100
    a, b, h0, dh = problem(L, torch.float32, "per row", radius=(0.0, 1e-6))
    a[..., 2 * L // 5, :] = 0
    for x, y in zip(
        values_and_gradients(a, b, h0, dh, backend=backend),
        values_and_gradients(a, b, h0, dh, backend="reference"),
        strict=True,
    ):
        assert torch.allclose(x, y, atol=1e-6)


def test_chunks_with_state_equal_the_whole():
    a, b, h0, _ = problem(50, torch.complex128, "constant")
    whole = scan(a, b, h0)
    first = scan(a, b[..., :17, :], h0)
    assert torch.allclose(torch.cat([first, scan(a, b[..., 17:, :], first[..., -1, :])], -2), whole, atol=1e-12)
    last = scan(a, b[..., 17:, :], h0, reverse=True)
    both = torch.cat([scan(a, b[..., :17, :], last[..., 0, :], reverse=True), last], -2)
    assert torch.allclose(both, scan(a, b, h0, reverse=True), atol=1e-12)


def test_many_rows_on_threads_equal_one_thread():
    a, b = torch.rand(64), torch.randn(6, 1000, 64)
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(4)
        parallel = values_and_gradients(a, b, torch.ones(6, 64), b)
        torch.set_num_threads(1)
        assert all(
            torch.equal(x, y) for x, y in zip(parallel, values_and_gradients(a, b, torch.ones(6, 64), b), strict=True)
        )
    finally:
        torch.set_num_threads(threads)


def test_dtypes_and_missing_state():
    a, b = torch.rand(3, dtype=torch.complex64), torch.randn(2, 5, 3, requires_grad=True)
    h = scan(a, b)
    assert h.dtype == torch.complex64
    h.real.sum().backward()
    assert b.grad.dtype == torch.float32
    assert scan(a.real.bfloat16(), b.bfloat16()).dtype == torch.float32
    assert torch.equal(h, scan(a, b, torch.zeros(3)))


@pytest.mark.parametrize("backend", FAST)
def test_conjugated_and_strided_arguments(backend):
    a, b, h0, dh = problem(9, torch.complex128, "per row")
    tricky = [x.conj().transpose(0, 1) for x in (a, b, h0, dh)]
    plain = [x.resolve_conj().contiguous() for x in tricky]
    for x, y in zip(
        values_and_gradients(*tricky, backend=backend), values_and_gradients(*plain, backend=backend), strict=True
    ):
        assert torch.allclose(x, y, atol=1e-13)


@pytest.mark.parametrize(
    ("a", "b", "h0", "backend"),
    [
        ((4,), (2, 5, 3), None, None),
        ((3,), (2, 5, 3), (4, 3), None),
        ((3,), (2, 0, 3), None, None),
        ((3,), (3,), None, None),
        ((3,), (5, 3), None, "nope"),
    ],
)
def test_misuse_is_refused(a, b, h0, backend):
    with pytest.raises(ValueError, match="scan"):
        scan(torch.ones(a), torch.ones(b), None if h0 is None else torch.ones(h0), backend=backend)
