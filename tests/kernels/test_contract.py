"""One contract for all kernels: convolution = recurrence = dense matrices, chunks = the whole, float32 near float64."""

from copy import deepcopy

import pytest
import torch
from torch import nn

from tests.kernels.cases import CASES, H

pytestmark = pytest.mark.usefixtures("poisoned")
LENGTHS = [1, 2, 3, 7, 63, 64, 65, 127, 1000]


@pytest.fixture(params=CASES)
def make(request):
    """A function that makes one kernel, the same at each call."""

    def build(**options):
        torch.manual_seed(0)
        return CASES[request.param](**{"channels": 2, **options})

    return build


def powers(system, L):
    """K[c, h, t] = Re(C A^t B) for diagonal or dense matrices, by definition."""
    A, B, C = system
    x, K = B, []
    for _ in range(L):
        K.append(torch.einsum("chn,hn->ch", C, x).real)
        x = A * x if A.dim() == 2 else torch.einsum("hij,hj->hi", A, x)
    return torch.stack(K, -1)


def trained(kernel):
    """Changes every parameter as training would."""
    with torch.no_grad():
        for parameter in kernel.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    return kernel


@pytest.mark.usefixtures("double")
@pytest.mark.parametrize("L", LENGTHS)
def test_convolution_equals_the_powers_of_the_matrices(make, L):
    kernel = trained(make())
    K = kernel(L)
    assert K.shape == (2, H, L)
    assert K.dtype == torch.float64
    torch.testing.assert_close(K, powers(kernel.discrete(), L), rtol=1e-10, atol=1e-11)


@pytest.mark.usefixtures("double")
def test_gradients_equal_those_of_the_powers(make):
    kernel = trained(make())
    weights, parameters = torch.randn(2, H, 65), list(kernel.parameters())
    ours = torch.autograd.grad((kernel(65) * weights).sum(), parameters)
    exact = torch.autograd.grad((powers(kernel.discrete(), 65) * weights).sum(), parameters)
    for a, b in zip(ours, exact, strict=True):
        assert (a - b).abs().max() <= 1e-9 * b.abs().max()
        assert b.abs().max() > 0


@pytest.mark.usefixtures("double")
def test_steps_equal_the_convolution(make):
    kernel, L = trained(make()), 30
    u, K = torch.randn(3, H, L), kernel(L)
    system, state = kernel.discrete(), kernel.default_state(3)
    for t in range(L):
        y, state = kernel.step(u[..., t], state, system if t % 2 else None)
        assert y.shape == (3, 2, H)
        exact = torch.einsum("cht,bht->bch", K[..., : t + 1].flip(-1), u[..., : t + 1])
        torch.testing.assert_close(y, exact, rtol=1e-10, atol=1e-11)


@pytest.mark.usefixtures("double")
@pytest.mark.parametrize("cuts", [[23], [7, 1, 15], [1, 22], [16, 7]])
def test_chunks_with_passed_state_equal_the_whole(make, cuts):
    kernel, L = trained(make()), 23
    u = torch.randn(3, H, L)
    convolve = lambda u: torch.stack([powers_convolve(kernel(u.shape[-1]), u, t) for t in range(u.shape[-1])], -1)
    state, parts, start = kernel.default_state(3), [], 0
    for n in cuts:
        chunk = u[..., start : start + n]
        parts.append(convolve(chunk) + kernel.response(state, n))
        state, start = kernel.forward_state(chunk, state), start + n
    torch.testing.assert_close(torch.cat(parts, -1), convolve(u), rtol=1e-10, atol=1e-11)
    stepped = kernel.default_state(3)
    for t in range(L):
        _, stepped = kernel.step(u[..., t], stepped)
    torch.testing.assert_close(state, stepped, rtol=1e-10, atol=1e-11)


def uses_matrix_exp(kernel):
    """S4 by zero-order hold: torch.matrix_exp picks its order from a norm that it reads on the host."""
    return getattr(kernel, "disc", "") == "zoh" and hasattr(kernel, "P")


def powers_convolve(K, u, t):
    """y[t] of K * u, (B, C, H)."""
    return torch.einsum("chs,bhs->bch", K[..., : t + 1].flip(-1), u[..., : t + 1])


@pytest.mark.usefixtures("double")
def test_state_functions_pass_gradients(make):
    """Truncated backpropagation goes through the state: gradients equal those of the steps."""
    kernel = trained(make())
    u = torch.randn(2, H, 9, requires_grad=True)
    start = torch.randn_like(kernel.default_state(2)).requires_grad_()
    inputs = [u, start, *(p for name, p in kernel.named_parameters() if name != "C")]
    weights = torch.randn_like(start)
    chunk = kernel.forward_state(u, start)
    state = start
    for t in range(9):
        _, state = kernel.step(u[..., t], state)
    grads = [torch.autograd.grad((x * weights).real.sum(), inputs) for x in (chunk, state)]
    for a, b in zip(*grads, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("dt", [(1e-4, 1e-1), (1e-3, 1.0)])
@pytest.mark.parametrize("L", [1000, 16384])
def test_float32_is_within_1e_4_of_float64(make, L, dt):
    kernel = trained(make(dt_min=dt[0], dt_max=dt[1]))
    exact = deepcopy(kernel).double()
    weights = torch.randn(2, H, L, dtype=torch.float64)
    results = []
    for k in (kernel, exact):
        K = k(L)
        results.append([K, *torch.autograd.grad((K * weights).sum(), list(k.parameters()))])
    assert results[0][0].dtype == torch.float32
    for ours, reference in zip(*results, strict=True):
        assert (ours - reference).abs().max() < 1e-4 * reference.abs().max()


def test_autocast_changes_nothing(make):
    kernel, u = make(), torch.randn(2, H)
    state = kernel.step(u, kernel.default_state(2))[1]
    results = []
    for enabled in (False, True):
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            K = kernel(50)
            results.append([K, *torch.autograd.grad(K.square().sum(), list(kernel.parameters()))])
            results[-1] += [*kernel.discrete(), *kernel.step(u, state), kernel.response(state, 20)]
            results[-1].append(
                kernel.forward_state(torch.randn(2, H, 20, generator=torch.Generator().manual_seed(0)), state)
            )
    for a, b in zip(*results, strict=True):
        assert a.dtype in (torch.float32, torch.complex64)
        assert torch.equal(a, b)


def test_state_dict_does_not_depend_on_L(make):
    kernel = make()
    before = {name: value.clone() for name, value in kernel.state_dict().items()}
    kernel(100).sum().backward()
    kernel(7)
    after = kernel.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_parameters_are_real_contiguous_and_tagged(make):
    kernel = make(lr={"dt": 0.01, "A": 0.02, "B": 0.03})
    tags = {"inv_dt": 0.01, "A_real": 0.02, "A_imag": 0.02, "P": 0.02, "B": 0.03}
    for name, parameter in kernel.named_parameters():
        assert not parameter.is_complex()
        assert parameter.is_contiguous()
        assert parameter._optim == ({} if name == "C" else {"lr": tags[name], "weight_decay": 0.0})


def test_a_learning_rate_of_zero_freezes(make):
    kernel = make(lr=0.0)
    assert [name for name, _ in kernel.named_parameters()] == ["C"]
    assert kernel(10).requires_grad
    assert set(kernel.state_dict()) == set(make().state_dict())


def test_rate_scales_dt(make):
    kernel = make()
    faster = deepcopy(kernel)
    dt = 2 * kernel.dt()
    stored = dt.log() if kernel.dt_transform == "exp" else dt.expm1().log()
    with torch.no_grad():
        (faster.inv_dt.data if isinstance(faster.inv_dt, nn.Parameter) else faster.inv_dt).copy_(stored)
    torch.testing.assert_close(kernel(40, rate=2.0), faster(40), rtol=1e-4, atol=1e-5)


def test_nothing_in_forward_looks_at_a_value(make):
    """On the meta device any read of a value (`.item()`, a branch on data) raises: on CUDA it would be a host sync."""
    kernel = make().to("meta")
    if uses_matrix_exp(kernel):
        pytest.skip("torch.matrix_exp picks its order from the norm of its argument: S4 by zero-order hold may sync")
    assert kernel(33).shape == (2, H, 33)
    kernel(33).sum().backward()
    assert kernel.response(kernel.default_state(2), 5).shape == (2, 2, H, 5)


@pytest.mark.gpu
def test_cuda_equals_the_cpu_and_never_syncs(make):
    kernel = make()
    weights = torch.randn(2, H, 100)
    exact = torch.autograd.grad((kernel(100) * weights).sum(), list(kernel.parameters()))
    on_gpu = deepcopy(kernel).cuda()
    weights = weights.cuda()
    on_gpu(100)  # operations choose their forms, which compares values
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error" if not uses_matrix_exp(kernel) else "default")
    try:
        K = on_gpu(100)
        grads = torch.autograd.grad((K * weights).sum(), list(on_gpu.parameters()))
    finally:
        torch.cuda.set_sync_debug_mode("default")
    torch.testing.assert_close(K.cpu(), kernel(100), rtol=1e-4, atol=1e-4)
    for a, b in zip(grads, exact, strict=True):
        assert (a.cpu() - b).abs().max() < 1e-4 * b.abs().max()
