"""S4's powers of diagonal plus low rank, in every form, against dense powers in float64: values, all gradients, any order, rank, length."""

import pytest
import torch

from src.ops.backend import has_triton
from src.ops.low_rank import S4_KERNEL, LowRankSystem, dense_matrix, low_rank_kernel
from src.ops.low_rank import kernel as module
from src.ops.low_rank.dense_powers import dense_final_state, dense_kernel

pytestmark = pytest.mark.usefixtures("poisoned")
interpreted = pytest.param("triton", marks=pytest.mark.skipif(not has_triton(torch.device("cpu")), reason="no Triton"))
each_fast_form = pytest.mark.parametrize("backend", ["torch", "compiled", interpreted])


def draw(H=3, N=3, r=1, c=1, seed=0):
    """A contraction: |d| <= 0.9 and a small low-rank part; one entry of d is exactly zero."""
    generator = torch.Generator().manual_seed(seed)
    normal = lambda *shape: torch.randn(*shape, dtype=torch.float64, generator=generator)
    d = torch.polar(torch.rand(H, N, dtype=torch.float64, generator=generator) * 0.9, 3 * normal(H, N))
    d[0, 0] = 0
    p, q = (normal(H, r, 2 * N) * 0.2 for _ in range(2))
    return LowRankSystem(torch.cat([d.real, d.imag], -1), p, q, normal(H, 2 * N)), normal(H, c, 2 * N)


def dense(system):
    """A written out entry by entry."""
    re, im = system.d.chunk(2, -1)
    N = re.shape[-1]
    A = torch.einsum("hri,hrj->hij", system.p, system.q)
    for j in range(N):
        block = torch.stack([torch.stack([re[:, j], -im[:, j]], -1), torch.stack([im[:, j], re[:, j]], -1)], -2)
        place = torch.zeros(2, 2 * N, dtype=A.dtype)
        place[0, j] = place[1, N + j] = 1
        A = A + place.T @ block @ place
    return A


def recurrence(A, B, C, L):
    """K[h, c, t] = C A^t B, one step after the other."""
    x, K = B, []
    for _ in range(L):
        K.append(torch.einsum("hci,hi->hc", C, x))
        x = torch.einsum("hij,hj->hi", A, x)
    return torch.stack(K, -1)


def compare(ours, exact, inputs, tolerance):
    """Values and gradients of all inputs under random weights, by the absolute and relative `tolerance`."""
    torch.testing.assert_close(ours, exact, rtol=tolerance, atol=tolerance)
    weights = torch.randn_like(exact)
    grads = [torch.autograd.grad(K, inputs, weights, materialize_grads=True) for K in (ours, exact)]
    for a, b in zip(*grads, strict=True):
        torch.testing.assert_close(a, b, rtol=10 * tolerance, atol=10 * tolerance)


@pytest.mark.parametrize("L", [1, 2, 3, 7, 63, 64, 65, 127, 1000])
@pytest.mark.parametrize(("N", "r", "c"), [(1, 1, 1), (3, 1, 2), (4, 2, 1), (5, 3, 2)])
@pytest.mark.parametrize("backend", ["reference", "torch", "compiled"])
def test_equals_the_recurrence_and_so_do_its_gradients(backend, N, r, c, L):
    system, C = draw(N=N, r=r, c=c)
    inputs = [x.requires_grad_() for x in (*system, C)]
    compare(low_rank_kernel(system, C, L, backend), recurrence(dense(system), system.B, C, L), inputs, 1e-12)


@pytest.mark.parametrize(
    ("N", "r", "c", "L"),
    [
        (2, 1, 1, 1),
        (3, 1, 2, 2),
        (8, 2, 1, 3),
        (2, 2, 2, 64),
        (3, 1, 1, 65),
        (3, 2, 2, 65),
        (8, 1, 2, 65),
        (2, 1, 1, 200),
    ],
)
@pytest.mark.parametrize("backend", [interpreted])
def test_fused_steps_equal_the_reference_and_so_do_their_gradients(backend, N, r, c, L):
    system, C = draw(H=2, N=N, r=r, c=c)
    inputs = [x.requires_grad_() for x in (*system, C)]
    compare(low_rank_kernel(system, C, L, backend), low_rank_kernel(system, C, L, "reference"), inputs, 1e-12)


@pytest.mark.parametrize("L", [1, 5, 9])
@pytest.mark.parametrize("backend", ["torch", "compiled"])
def test_gradcheck(backend, L):
    system, C = draw(H=1, N=2, r=2, c=2)
    inputs = [x.requires_grad_() for x in (*system, C)]
    kernel = lambda d, p, q, B, C: low_rank_kernel(LowRankSystem(d, p, q, B), C, L, backend)
    assert torch.autograd.gradcheck(kernel, inputs)


@each_fast_form
def test_single_precision_of_the_output_rows(backend):
    """Only C and the coarse half are float32: values and gradients stay within 1e-5 of float64 with |A| near 1."""
    system, C = draw(H=1, N=4, r=2, c=2)
    d = torch.nn.functional.normalize(system.d.unflatten(-1, (2, -1)), dim=1).flatten(1) * 0.995
    d[0, 0] = d[0, 4] = 0
    system, results = LowRankSystem(d, 0.05 * system.p, 0.05 * system.q, system.B), []
    weights = torch.randn(1, 2, 200, dtype=torch.float64)
    for dtype, form in ((torch.float32, backend), (torch.float64, "reference")):
        inputs = [x.clone().requires_grad_() for x in (*system, C.to(dtype))]
        K = low_rank_kernel(LowRankSystem(*inputs[:4]), inputs[4], 200, form)
        assert K.dtype == dtype
        results.append([K, *torch.autograd.grad((K * weights).sum(), inputs)])
    for ours, exact in zip(*results, strict=True):
        assert (ours - exact).abs().max() < 1e-5 * exact.abs().max()


@each_fast_form
def test_arguments_stay_as_they_were_and_need_not_be_contiguous(backend):
    system, C = draw(H=2, r=2, c=2)
    strided = [x.transpose(0, -1).contiguous().transpose(0, -1).requires_grad_() for x in (*system, C)]
    before = [x.detach().clone() for x in strided]
    compare(
        low_rank_kernel(LowRankSystem(*strided[:4]), strided[4], 33, backend),
        low_rank_kernel(LowRankSystem(*strided[:4]), strided[4], 33, "reference"),
        strided,
        1e-12,
    )
    assert all(torch.equal(x, y) for x, y in zip(strided, before, strict=True))


@pytest.mark.parametrize("backend", [interpreted])
def test_an_order_that_no_program_holds_steps_by_batched_products(backend, monkeypatch):
    from src.ops.low_rank import triton as low_rank

    system, C = draw(H=2, c=2)
    inputs = [x.requires_grad_() for x in (*system, C)]
    monkeypatch.setattr(low_rank, "LARGEST", 0)
    compare(low_rank_kernel(system, C, 65, backend), low_rank_kernel(system, C, 65, "reference"), inputs, 1e-12)


def test_a_gradient_of_the_gradient_is_refused():
    system, C = draw()
    C.requires_grad_()
    (grad,) = torch.autograd.grad(low_rank_kernel(system, C, 5).square().sum(), C, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        grad.sum().backward()


@each_fast_form
def test_the_probe_finds_no_difference(backend):
    assert S4_KERNEL.error(backend, torch.device("cpu")) < 1e-5


@pytest.mark.gpu
@pytest.mark.parametrize("backend", ["torch", "triton"])
@pytest.mark.parametrize(("N", "L"), [(3, 65), (32, 1000), (32, 16384), (64, 1000)])
def test_on_a_gpu(backend, N, L):
    system, C = draw(N=N, r=2, c=2)
    inputs = [x.requires_grad_() for x in (*system, C.float())]
    K = low_rank_kernel(system, inputs[4], L)
    weights = torch.randn_like(K)
    on_gpu = [x.detach().cuda().requires_grad_() for x in inputs]
    ours = low_rank_kernel(LowRankSystem(*on_gpu[:4]), on_gpu[4], L, backend)
    results = [[K, *torch.autograd.grad(K, inputs, weights)]]
    results.append([ours, *torch.autograd.grad(ours, on_gpu, weights.cuda())])
    for a, b in zip(*results, strict=True):
        assert (a - b.cpu()).abs().max() < 1e-4 * a.abs().max()


@pytest.mark.parametrize("size", [1, 1 << 30])
def test_blocks_do_not_show(size, monkeypatch):
    system, C = draw(H=7)
    whole = low_rank_kernel(system, C, 65)
    monkeypatch.setattr(module, "BLOCK_BYTES", size)
    torch.testing.assert_close(low_rank_kernel(system, C, 65), whole, rtol=1e-14, atol=1e-14)


def test_the_dense_matrix_is_the_one_written_out():
    system, _ = draw(N=4, r=2)
    torch.testing.assert_close(dense_matrix(system), dense(system), rtol=0, atol=1e-15)


@pytest.mark.parametrize("L", [1, 2, 3, 64, 127])
def test_dense_powers_equal_the_recurrence(L):
    system, C = draw(c=2)
    A, B = dense(system), torch.stack([system.B, system.p[:, 0]], -1)
    K = dense_kernel(A, B, C, L)
    for column in range(2):
        torch.testing.assert_close(K[:, :, column], recurrence(A, B[..., column], C, L), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("L", [1, 2, 3, 64, 127])
def test_final_state_equals_the_recurrence(L):
    system, _ = draw()
    A, u, x = dense(system), torch.randn(2, 3, L, dtype=torch.float64), torch.randn(2, 3, 6, dtype=torch.float64)
    ours = dense_final_state(A, system.B, u, x)
    for t in range(L):
        x = torch.einsum("hij,rhj->rhi", A, x) + system.B * u[..., t : t + 1]
    torch.testing.assert_close(ours, x, rtol=1e-12, atol=1e-12)


def test_no_kernel_of_length_zero():
    with pytest.raises(ValueError, match="at least 1"):
        low_rank_kernel(*draw(), 0)


def test_no_form_of_another_name():
    with pytest.raises(ValueError, match="unknown S4 kernel backend 'numba'"):
        low_rank_kernel(*draw(), 5, "numba")
