"""The fused FFT convolution in Triton's interpreter: GPU lengths, layouts in memory, odd batches, blocks; on a GPU a captured graph."""

import pytest
import torch

pytest.importorskip("triton", reason="Triton has no build for this platform")

from src.ops.fftconv import FFTCONV, fftconv
from src.ops.fftconv import triton as spectra
from src.ops.fftconv.length import fft_length

pytestmark = pytest.mark.usefixtures("poisoned")
CUDA = torch.device("cuda")


def problem(B=3, H=5, L=11, C=2, channels_last=True, seed=0):
    """u (B, H, L), K and future (C, H, L), float64 leaves."""
    generator = torch.Generator().manual_seed(seed)
    draw = lambda *shape: torch.randn(*shape, dtype=torch.float64, generator=generator)
    u = draw(B, L, H).transpose(1, 2) if channels_last else draw(B, H, L)
    return [x.requires_grad_() for x in (u, draw(C, H, L), draw(C, H, L))]


def results(form, leaves):
    """Returns the output and all gradients under fixed weights."""
    y = form(*leaves)
    weights = torch.randn(y.shape, dtype=y.dtype, generator=torch.Generator().manual_seed(1))
    return [y, *torch.autograd.grad(y, leaves, weights)]


def assert_agree(form, leaves):
    exact = lambda u, K, future=None: FFTCONV.forms["reference"](u, K, future, torch.float64)
    for ours, expected in zip(results(form, leaves), results(exact, leaves), strict=True):
        torch.testing.assert_close(ours, expected, rtol=1e-10, atol=1e-10)


def on_gpu_lengths(u, K, future=None):
    return spectra.convolve(u, K, future, fft_length(u.shape[-1], CUDA), torch.float64)


@pytest.mark.parametrize("two_sided", [False, True])
@pytest.mark.parametrize(("B", "L", "C"), [(1, 1, 1), (2, 9, 1), (3, 11, 2), (4, 33, 2), (1, 40, 3)])
def test_equals_the_definition_at_the_lengths_of_a_gpu(B, L, C, two_sided):
    assert_agree(on_gpu_lengths, problem(B, 3, L, C)[: 2 + two_sided])


def test_more_channels_than_a_tile():
    assert_agree(on_gpu_lengths, problem(B=1, H=33, L=1, C=1)[:2])


def test_blocks_of_channels_do_not_show(monkeypatch):
    leaves = problem(B=2, H=7, L=5)
    whole = results(on_gpu_lengths, leaves)
    spectrum = fft_length(5, CUDA) * 16  # bytes
    monkeypatch.setattr(spectra, "ACCELERATOR_BYTES", 2 * spectrum * (1 + 2))  # two channels: one pair, two kernels
    launches, launch = [], spectra.launch
    monkeypatch.setattr(spectra, "launch", lambda kernel, *a, **o: launches.append(kernel) or launch(kernel, *a, **o))
    assert all(map(torch.equal, results(on_gpu_lengths, leaves), whole))
    assert launches.count(spectra.adjoint) == 4


@pytest.mark.parametrize("channels_last", [False, True])
def test_results_lie_in_memory_as_the_input_does(channels_last):
    u, K, _ = problem(channels_last=channels_last)
    y = on_gpu_lengths(u, K)
    (grad,) = torch.autograd.grad(y.sum(), u)
    in_order = (lambda x: x.transpose(-1, -2).flatten(-2)) if channels_last else lambda x: x
    assert in_order(grad).is_contiguous()
    assert (y.flatten(1, 2).transpose(1, 2) if channels_last else y).is_contiguous()


@pytest.mark.parametrize(
    "view",
    [
        lambda u: u.repeat_interleave(2, -1)[..., ::2],
        lambda u: u[:1, :1].expand(u.shape),
        lambda u: u[..., :1].expand(u.shape),
        lambda u: u.permute(2, 0, 1).contiguous().permute(1, 2, 0),
    ],
    ids=["every second step", "one channel for all", "one step for all", "time first"],
)
def test_any_strides(view):
    u, K, future = problem(H=2, L=12)
    assert_agree(on_gpu_lengths, [view(u.detach()).requires_grad_(), K, future])


def test_a_gradient_without_strides():
    leaves = problem(H=2, L=12)
    ours, expected = (  # the gradient of a sum is one number, expanded
        torch.autograd.grad(form(*leaves).sum(), leaves)
        for form in (on_gpu_lengths, lambda *x: fftconv(*x, backend="reference"))
    )
    torch.testing.assert_close(ours, expected, rtol=1e-10, atol=1e-10)


def test_bfloat16_in_and_out_differs_from_float32_by_one_rounding():
    """A card rounds to nearest; the interpreter cuts bits off, an error of up to one unit in the last place rather than half of one."""
    u, K, future = (x.detach().float().requires_grad_() for x in problem(H=2, L=20))
    half = u.detach().bfloat16().requires_grad_()
    with torch.no_grad():
        u.copy_(half)
    results = []
    for x, dtype in ((half, torch.bfloat16), (u, torch.float32)):
        y = fftconv(x, K, future, dtype=dtype, backend="triton")
        weights = torch.ones(y.shape, dtype=dtype)
        results.append((y, *torch.autograd.grad(y, (x, K, future), weights)))
    for ours, full in zip(*(r[:2] for r in results), strict=True):
        assert ours.dtype == torch.bfloat16
        assert ((ours - full).abs() <= torch.finfo(torch.bfloat16).eps * full.abs()).all()
    assert all(map(torch.equal, results[0][2:], results[1][2:]))  # K and future are float32


def gpu_problem(dtype):
    draw = lambda *shape: torch.randn(*shape, device=CUDA)
    u, K, future = draw(5, 3000, 96).transpose(1, 2).to(dtype), draw(2, 96, 3000) / 50, draw(2, 96, 3000) / 50
    return [x.requires_grad_() for x in (u, K, future)]


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_on_a_gpu_the_forms_agree(dtype):
    leaves = gpu_problem(dtype)
    weights = torch.randn(5, 2, 96, 3000, device=CUDA, dtype=dtype)
    sides = []
    for form in ("triton", "torch"):
        y = fftconv(*leaves, backend=form)
        sides.append([y, *torch.autograd.grad(y, leaves, weights)])
    assert sides[0][0].dtype == sides[1][0].dtype == dtype
    for ours, expected in zip(*sides, strict=True):
        rounding = max(1e-5, torch.finfo(ours.dtype).eps)
        assert (ours - expected).abs().max() <= rounding * expected.abs().max()


@pytest.mark.gpu
def test_on_a_gpu_a_captured_graph_repeats_it_and_nothing_waits():
    leaves = gpu_problem(torch.bfloat16)
    weights = torch.randn(5, 2, 96, 3000, device=CUDA, dtype=torch.bfloat16)

    def step():
        y = fftconv(*leaves, backend="triton")
        return [y, *torch.autograd.grad(y, leaves, weights)]

    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        step()  # plans and kernels are made here
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        captured = step()
    with torch.no_grad():
        for x in leaves:
            x.normal_()
    graph.replay()
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        expected = step()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert all(map(torch.equal, captured, expected))
