"""The GPU bench on a CPU: every case runs, small, in both forms and gives the same; its counts are those of the definition."""

import math
import time

import pytest
import torch

from src.bench import __main__ as main
from src.bench import gpu
from src.bench.gpu_cases import (
    all_cases,
    conv_case,
    diagonal_case,
    dplr_case,
    fftconv_case,
    scan_case,
    selective_case,
)
from src.errors import UserError

CPU = torch.device("cpu")
SMALL = [
    selective_case("test", b=2, L=9, D=4, N=3, is_complex=False),
    selective_case("test", b=2, L=9, D=4, N=2, is_complex=True),
    conv_case("test", b=2, L=9, D=4, K=3),
    diagonal_case("test", H=3, N=4, L=20),
    dplr_case("test", H=2, n=6, L=20),
    fftconv_case("test", B=3, H=2, L=17, dtype=torch.float32),
    scan_case("test", B=2, L=11, P=5),
]


def wall_seconds(call, repeats):
    started = time.perf_counter()
    for _ in range(repeats):
        call()
    return (time.perf_counter() - started) / repeats


@pytest.mark.parametrize("case", SMALL, ids=lambda case: f"{case.operation} {case.size}")
def test_both_forms_compute_the_same(case):
    """In the interpreter: what the bench times is the operation and not an error path of it."""
    pytest.importorskip("triton")
    leaves = case.leaves(CPU)
    values = {}
    for backend in gpu.BACKENDS:
        y = case.call(backend, *leaves)
        values[backend] = [y, *torch.autograd.grad(y, leaves, torch.ones_like(y))]
    for fused, plain in zip(*values.values(), strict=True):
        assert (fused - plain).abs().max() <= 1e-4 * plain.abs().max()


@pytest.mark.parametrize("case", SMALL, ids=lambda case: f"{case.operation} {case.size}")
def test_bytes_are_those_of_arguments_output_and_gradients(case):
    """Forward: arguments in, output out; backward: both in (the output's gradient for the output), the arguments' gradients out."""
    leaves = case.leaves(CPU)
    arguments = sum(leaf.numel() * leaf.element_size() for leaf in leaves)
    y = case.call("torch", *leaves)
    output = y.numel() * y.element_size()
    least = (arguments + output) + (2 * arguments + output)
    assert 0.8 * least <= case.bytes <= 1.05 * least  # small vectors are left out of the count


def test_a_row_has_times_ratio_and_share(monkeypatch):
    monkeypatch.setattr(gpu, "BACKENDS", ("reference", "torch"))
    row = gpu.row(SMALL[0], CPU, bandwidth=1e9, rate=1e9, repeats=1, timer=lambda call, repeats: call() and 2e-3)
    assert row["reference, ms"] == "2.000"
    assert row["ratio"] == "1.0x"
    expected = max(SMALL[0].bytes, SMALL[0].operations) / 1e9 / 2e-3
    assert row["share of the limit, %"] == f"{100 * expected:.0f}"
    assert row["limit"] == ("memory" if SMALL[0].bytes >= SMALL[0].operations else "arithmetic")


def test_a_case_that_does_not_fit_is_a_row(monkeypatch):
    def full(*_):
        raise torch.cuda.OutOfMemoryError("CUDA out of memory")

    case = SMALL[0]
    object.__setattr__(case, "call", full)
    assert gpu.measure(case, "torch", CPU, 1, wall_seconds) == (math.inf, 0)
    row = gpu.row(case, CPU, 1e9, 1e9, 1, wall_seconds)
    assert row["torch, ms"] == "out of memory"
    assert row["ratio"] == row["share of the limit, %"] == "-"


def test_a_training_step_has_a_row_with_each_way(monkeypatch):
    monkeypatch.setattr(gpu, "STEPS", {"eager": gpu.Plan(), "clipped": gpu.Plan(gradient_clip_val=1.0)})
    calls = []
    row = gpu.step_row("S4D", 2, 12, CPU, 1, lambda step, repeats: calls.append(step()) or 4e-3)
    assert calls == [1e-3, 1e-3]  # a step returns its learning rate
    assert row["eager, ms"] == row["clipped, ms"] == "4.00"
    assert row["clipped, samples/s"] == "500"

    def full(*_):
        raise torch.cuda.OutOfMemoryError("CUDA out of memory")

    assert gpu.step_row("S4D", 2, 12, CPU, 1, full)["eager, ms"] == "out of memory"


def test_limits_are_rates():
    assert gpu.copy_rate(CPU, lambda call, repeats: 0.5, size=1000) == 4000
    assert gpu.product_rate(CPU, lambda call, repeats: 0.5, n=10) == 4000
    assert not torch.backends.cuda.matmul.allow_tf32


def test_cases_reach_long_sequences():
    sizes = [case.size for case in all_cases()]
    for operation in {case.operation for case in all_cases()}:
        own = " ".join(case.size for case in all_cases() if case.operation == operation)
        assert "16,384" in own
        assert "65,536" in own
    assert len(set(zip((case.operation for case in all_cases()), sizes, strict=True))) == len(sizes)
    assert all("65,536" not in case.size for case in all_cases(quick=True))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_without_a_gpu(capsys):
    with pytest.raises(UserError, match="needs a CUDA device"):
        next(gpu.tables())
    assert "gpu" not in main._possible()
    assert "without the bench gpu" in capsys.readouterr().err


@pytest.mark.gpu
def test_on_a_gpu():
    rows = [gpu.row(case, torch.device("cuda"), 1e12, 1e12, 2, gpu.event_seconds) for case in SMALL]
    assert all(float(row["triton, ms"]) > 0 for row in rows)
    step = gpu.step_row("S4D", 2, 24, torch.device("cuda"), 2, gpu.event_seconds)
    assert float(step["graph, ms"]) > 0
