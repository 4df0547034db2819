"""What only the fused selective scan has: tiles, segments of time, elementary functions, and the memory that it takes."""

from itertools import product

import numpy as np
import pytest
import torch

pytest.importorskip("triton", reason="Triton has no build for this platform")

import triton
import triton.language as tl
from torch.utils._python_dispatch import TorchDispatchMode

from src.ops.selective_scan import SELECTIVE_SCAN, selective_scan
from src.ops.selective_scan import triton as fused
from src.ops.selective_scan.triton_parts import _cis_of_radians, _slope_of_softplus, _softplus
from tests.ops.selective_scan.test_selective_scan import MIXES, assert_equal, problem, values_and_gradients
from tests.ops.selective_scan.triton_cases import scan


@pytest.fixture
def short_chunks(monkeypatch):
    monkeypatch.setattr(fused, "KEPT", 8)
    monkeypatch.setattr(fused, "STEPS", 4)


@pytest.mark.parametrize(
    ("mix", "complex_field"), [((True, True, True), True), ((False, False, False), True), ((False, True, False), False)]
)
def test_one_segment_equals_several(poisoned, short_chunks, monkeypatch, mix, complex_field):
    case = problem(19, complex_field, mix, b=1, slow=True)
    assert fused.segments(1, 19, torch.device("cpu")) == (3, 8)
    several = values_and_gradients(case, "triton")
    monkeypatch.setattr(fused, "MOST_SEGMENTS", 1)
    assert fused.segments(1, 19, torch.device("cpu")) == (1, 24)
    one = values_and_gradients(case, "triton")
    assert_equal(several, one, 1e-12)
    assert_equal(one, values_and_gradients(case, "reference"), 1e-11)


@pytest.mark.parametrize(
    ("D", "N", "complex_field", "mix"),
    [
        (37, 3, True, (True, True, True)),
        (70, 16, False, (True, False, True)),
        (9, 1, True, (False, True, False)),
        (3, 65, True, (True, True, True)),
    ],
)
def test_many_channels_and_states(poisoned, short_chunks, D, N, complex_field, mix):
    """More than one block of channels, the last one not full; one state, and more than a warp has lanes."""
    case = problem(3, complex_field, mix, b=2, D=D, N=N)
    assert_equal(values_and_gradients(case, "triton"), values_and_gradients(case, "reference"), 1e-11)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("planes", [1, 2])
@pytest.mark.parametrize("lanes", [1, 4])
@pytest.mark.parametrize("N", [1, 2, 3, 8, 16, 64, 100, 1000])
def test_a_tile_is_a_warp_that_holds_all_states(N, lanes, planes, dtype):
    tile = fused.tile(torch.empty(1536, planes, N, dtype=dtype), lanes)
    assert tile.NL * tile.DL == 32
    assert N <= tile.NG * tile.NV * tile.NL < 2 * N
    assert tile.DH * tile.NG * tile.NV * planes * dtype.itemsize // 4 <= fused.WORDS * tile.warps
    assert max(tile.DH, tile.NV) * dtype.itemsize <= 16  # one load
    assert tile.blocks(1536) * tile.DH * tile.DL >= 1536


def test_segments_fill_the_card_and_cover_the_time():
    cpu = torch.device("cpu")
    for programs, L in product((1, 3, 32, 300, 352, 2000), (1, 64, 65, 129, 256, 384, 16384, 16385, 65536)):
        count, length = fused.segments(programs, L, cpu)
        assert (count - 1) * length < L <= count * length
        assert count != 2
        assert count == 1 or length % fused.KEPT == 0
        assert count == 1 or count * programs <= fused.PROGRAMS_PER_MULTIPROCESSOR * fused.MULTIPROCESSORS
    assert fused.segments(32, 384, cpu) == (6, 64)
    assert fused.segments(2000, 65536, cpu)[0] == 1


def test_single_precision(short_chunks):
    """The worst of two problems is no further from float64 than the definition itself in float32, up to a factor of 4."""
    worst = {name: {} for name in ("reference", "triton")}
    for seed in range(2):
        case = problem(20, True, b=1, D=32, N=4, dtype=torch.float32, seed=seed)
        double = {name: t.to(torch.complex128 if t.is_complex() else torch.float64) for name, t in case.items()}
        want = values_and_gradients(double, "reference")
        for backend, errors in worst.items():
            for name, value in values_and_gradients(case, backend).items():
                error = float((value - want[name]).abs().max() / want[name].abs().max())
                errors[name] = max(error, errors.get(name, 0.0))
    for name, error in worst["triton"].items():
        assert error < 4 * worst["reference"][name], name


@triton.jit
def elementary(p, v, w, out, n, SIZE: tl.constexpr):
    i = tl.arange(0, SIZE)
    c, s = _cis_of_radians(tl.load(p + i))
    tl.store(out + i, c)
    tl.store(out + n + i, s)
    tl.store(out + 2 * n + i, _softplus(tl.load(v + i)))
    tl.store(out + 3 * n + i, _slope_of_softplus(tl.load(w + i)))


@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float32, 2.5e-7), (np.float64, 5e-15)])
def test_elementary_functions(dtype, tolerance):
    generator, n = np.random.default_rng(0), 4096
    p = np.where(np.arange(n) % 2, generator.uniform(-4, 4, n), generator.uniform(-4000, 4000, n)).astype(dtype)
    v, w = generator.uniform(-30, 30, n).astype(dtype), (10.0 ** generator.uniform(-9, 1.5, n)).astype(dtype)
    out = np.empty((4, n), dtype)
    p_, v_, w_, out_ = (torch.from_numpy(array) for array in (p, v, w, out))
    elementary[(1,)](p_, v_, w_, out_, n, SIZE=n)
    p, v, w = (array.astype(np.longdouble) for array in (p, v, w))
    want = np.stack([np.cos(p), np.sin(p), np.log1p(np.exp(-np.abs(v))) + np.maximum(v, 0), -np.expm1(-w)])
    error = np.abs(out - want)
    error[2:] /= want[2:]
    assert error.max() < tolerance
    small = np.abs(p) < 1.5
    assert (error[1] / np.abs(want[1]))[small].max() < tolerance  # a small angle is exact relative to itself


def test_small_angles_are_not_rounded_to_one_side():
    """The mean error of an angle, which adds up over a slow state's memory, is far below the rounding of one of them."""
    n = 1 << 16
    p = np.random.default_rng(0).uniform(0.1, 1.4, n).astype(np.float32)
    out = torch.empty(4, n)
    arrays = [torch.from_numpy(p)] * 3
    elementary[(1,)](*arrays, out, n, SIZE=n)
    angle = np.arctan2(out[1].double().numpy(), out[0].double().numpy())
    assert abs(np.mean((angle - p.astype(np.float64)) / p)) < 2e-9


@pytest.mark.filterwarnings("ignore:invalid value encountered in cast")  # the interpreter's
def test_not_a_number_is_not_hidden():
    case = problem(3, b=1, dtype=torch.float32)
    case["dt"][0, 1, 0] = float("nan")
    out = selective_scan(**case, softplus=True, backend="triton")
    assert torch.isnan(out[0, 1:, 0]).all()
    assert torch.isfinite(out[..., 1:]).all()


class Watch(TorchDispatchMode):
    """Notes the size of what is made, and what would wait for a card."""

    def __init__(self):
        super().__init__()
        self.largest, self.waits = 0, []

    def __torch_dispatch__(self, function, types, arguments=(), options=None):
        result = function(*arguments, **(options or {}))
        for tensor in result if isinstance(result, tuple | list) else (result,):
            if isinstance(tensor, torch.Tensor):
                self.largest = max(self.largest, tensor.untyped_storage().nbytes())
        if function.name() in ("aten::_local_scalar_dense", "aten::is_nonzero", "aten::nonzero", "aten::item"):
            self.waits.append(function.name())
        return result


@pytest.mark.parametrize("complex_field", [False, True])
@pytest.mark.parametrize("mix", [(True, True, True), (False, False, False)])
def test_memory_and_no_wait_for_the_card(monkeypatch, complex_field, mix):
    """The kernels left out: nothing is made that is larger than one array (b, L, D), where all states are N of them; no value is read."""
    monkeypatch.setattr(fused, "launch", lambda *arguments, **options: None)
    b, L, D, N = 2, 16384, 128, 8 if complex_field else 16
    with Watch() as watch:
        scan(b, L, D, N, complex_field, mix)
    assert watch.largest == 4 * b * L * D
    assert not watch.waits


@pytest.mark.gpu
def test_on_a_card():
    """Every mix at a length of many chunks against the definition, in float64 and float32."""
    cuda = torch.device("cuda")
    assert SELECTIVE_SCAN.error("triton", cuda) < 1e-5
    for complex_field, mix in [(field, mix) for field in (False, True) for mix in MIXES]:
        case = {name: tensor.to(cuda) for name, tensor in problem(1000, complex_field, mix, D=40, N=5).items()}
        assert_equal(values_and_gradients(case, "triton"), values_and_gradients(case, "reference"), 1e-10)


@pytest.mark.gpu
def test_a_graph_holds_it():
    """Captured once, forward and backward, and replayed on other values."""
    leaves = {name: tensor.cuda().requires_grad_() for name, tensor in problem(300, True, dtype=torch.float32).items()}

    def step():
        out, state = selective_scan(**leaves, softplus=True, return_state=True, backend="triton")
        return torch.autograd.grad(out.square().sum() + state.abs().square().sum(), list(leaves.values()))

    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        step()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        captured = step()
    with torch.no_grad():
        leaves["x"].mul_(-0.5)
    graph.replay()
    for got, want in zip(captured, step(), strict=True):
        assert torch.equal(got, want)
