"""S4's powers of diagonal plus low rank against dense powers in float64: values, every gradient, any order, rank and length."""

import pytest
import torch

from src.ops import low_rank_powers as module
from src.ops.dense_powers import dense_final_state, dense_kernel
from src.ops.low_rank_powers import LowRankSystem, low_rank_kernel

pytestmark = pytest.mark.usefixtures("poisoned")


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


@pytest.mark.parametrize("L", [1, 2, 3, 7, 63, 64, 65, 127, 1000])
@pytest.mark.parametrize(("N", "r", "c"), [(1, 1, 1), (3, 1, 2), (4, 2, 1), (5, 3, 2)])
def test_equals_the_recurrence_and_so_do_its_gradients(N, r, c, L):
    system, C = draw(N=N, r=r, c=c)
    inputs = [x.requires_grad_() for x in (*system, C)]
    ours, exact = low_rank_kernel(system, C, L), recurrence(dense(system), system.B, C, L)
    torch.testing.assert_close(ours, exact, rtol=1e-12, atol=1e-12)
    weights = torch.randn_like(exact)
    grads = [torch.autograd.grad(K, inputs, weights, materialize_grads=True) for K in (ours, exact)]
    for a, b in zip(*grads, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("L", [1, 5, 9])
def test_gradcheck(L):
    system, C = draw(H=2, N=2, r=2, c=2)
    inputs = [x.requires_grad_() for x in (*system, C)]
    assert torch.autograd.gradcheck(lambda d, p, q, B, C: low_rank_kernel(LowRankSystem(d, p, q, B), C, L), inputs)


@pytest.mark.parametrize("size", [1, 1 << 30])
def test_blocks_do_not_show(size, monkeypatch):
    system, C = draw(H=7)
    whole = low_rank_kernel(system, C, 65)
    monkeypatch.setattr(module, "BLOCK_BYTES", size)
    torch.testing.assert_close(low_rank_kernel(system, C, 65), whole, rtol=1e-14, atol=1e-14)


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
