"""S4's kernel under every form of its operation: one answer and one gradient, and nothing that waits for a GPU."""

from copy import deepcopy

import pytest
import torch

from src.kernels import DPLRKernel
from src.kernels.dplr import small_inverse
from src.ops.backend import has_triton
from src.ops.low_rank import S4_KERNEL
from tests.kernels.test_contract import powers, trained

pytestmark = pytest.mark.usefixtures("poisoned")
without_triton = pytest.mark.skipif(not has_triton(torch.device("cpu")), reason="no Triton")
FORMS = [pytest.param(name, marks=without_triton) if name == "triton" else name for name in S4_KERNEL.forms]


def s4(**options):
    torch.manual_seed(0)
    return trained(DPLRKernel(2, 6, channels=2, **options))


@pytest.mark.usefixtures("double")
@pytest.mark.parametrize("init", ["legs", "legt"])
@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_the_powers_of_the_matrices(form, init, monkeypatch):
    monkeypatch.setenv("SSM_BACKEND", form)
    kernel = s4(init=init)
    weights, parameters = torch.randn(2, 2, 40), list(kernel.parameters())
    ours, exact = kernel(40), powers(kernel.discrete(), 40)
    assert S4_KERNEL.backend(ours.device) == form
    torch.testing.assert_close(ours, exact, rtol=1e-10, atol=1e-11)
    grads = [torch.autograd.grad((K * weights).sum(), parameters) for K in (ours, exact)]
    for a, b in zip(*grads, strict=True):
        assert (a - b).abs().max() <= 1e-9 * b.abs().max()


@pytest.mark.parametrize("r", [1, 2, 3])
def test_elimination_inverts_what_has_a_positive_symmetric_part(r):
    x = 3 * torch.randn(50, r, r, dtype=torch.float64)
    x = torch.eye(r, dtype=x.dtype) + x @ x.mT + 30 * (x - x.mT)
    torch.testing.assert_close(small_inverse(x) @ x, torch.eye(r, dtype=x.dtype).expand_as(x), rtol=0, atol=1e-12)


@pytest.mark.gpu
@pytest.mark.parametrize("form", ["torch", "triton"])
def test_a_captured_graph_replays_the_kernel_and_its_gradients(form, monkeypatch):
    monkeypatch.setenv("SSM_BACKEND", form)
    kernel = s4().cuda()
    parameters = list(kernel.parameters())
    run = lambda: [K := kernel(100), *torch.autograd.grad(K.square().sum(), parameters)]
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        run()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        captured = run()
    changed = trained(deepcopy(kernel))
    with torch.no_grad():
        for parameter, new in zip(parameters, changed.parameters(), strict=True):
            parameter.copy_(new)
    graph.replay()
    for a, b in zip(captured, run(), strict=True):
        torch.testing.assert_close(a, b)
