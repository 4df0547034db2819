"""Speed on a GPU: each operation forward and backward in its fused and its plain torch form, beside what the card could do at best.

The card's limits are measured in the same run: bytes a second of a large copy, and float32 operations a second of a large matrix
product (without tf32, which no operation here uses). The share is the time that the slower of the two limits allows over the time
taken. Times are medians of CUDA events around whole calls, so short ones hold the launches of an eager program too. Whole training
steps are the engine's, as it runs them and as a captured graph (`trainer.cuda_graph`).
"""

import gc
import math
from collections.abc import Callable, Iterator
from statistics import median

import torch
from torch import Tensor

from ..engine import Plan
from ..errors import UserError
from .gpu_cases import Case, all_cases
from .timing import Table
from .train import D_STATE, LAYERS, SSMS, H, training_step

BACKENDS = ("triton", "torch")
COPY_BYTES, MATRIX = 1 << 30, 8192
WARM_UPS = 5  # a graph is captured in the fourth step
STEPS = {"eager": Plan(), "graph": Plan(cuda_graph=True)}
STEP_SIZES = ((50, 1024), (16, 4096), (4, 16384))  # batch, L

Timer = Callable[[Callable[[], object], int], float]


def tables(quick: bool = False) -> Iterator[Table]:
    """Measures and yields one table an operation.

    Raises:
        UserError: there is no CUDA device.
    """
    if not torch.cuda.is_available():
        raise UserError("bench gpu needs a CUDA device and torch finds none here; the other benches run on a CPU")
    device = torch.device("cuda", torch.cuda.current_device())
    bandwidth, rate = copy_rate(device, event_seconds), product_rate(device, event_seconds)
    note = (
        f"Forward + backward, eager; {torch.cuda.get_device_name(device)}, torch {torch.__version__}, CUDA {torch.version.cuda}. "
        f"Measured here: copy {bandwidth / 1e12:.2f} TB/s, float32 matrix product {rate / 1e12:.1f} TFLOP/s."
    )
    rows: dict[str, list[dict[str, str]]] = {}
    for case in all_cases(quick):
        rows.setdefault(case.operation, []).append(
            row(case, device, bandwidth, rate, 5 if quick else 20, event_seconds)
        )
    for operation, of_operation in rows.items():
        yield Table(f"{operation} on a GPU", note, of_operation)
    sizes = STEP_SIZES[:1] if quick else STEP_SIZES
    steps = [step_row(name, *size, device, 5 if quick else 20, event_seconds) for size in sizes for name in SSMS]
    note = f"{LAYERS} layers, H={H}, d_state={D_STATE}, one direction, float32; {torch.cuda.get_device_name(device)}."
    yield Table("Training step on a GPU", note, steps)


def event_seconds(call: Callable[[], object], repeats: int) -> float:
    """Median seconds of a call on the current device, by CUDA events, after `WARM_UPS` calls."""
    for _ in range(WARM_UPS):
        call()
    times = []
    for _ in range(repeats):
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        call()
        end.record()
        end.synchronize()
        times.append(begin.elapsed_time(end) / 1e3)
    return median(times)


def copy_rate(device: torch.device, timer: Timer, size: int = COPY_BYTES) -> float:
    """Returns bytes a second of a copy, those read and those written."""
    source = torch.zeros(size, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    return 2 * size / timer(lambda: target.copy_(source), 10)


def product_rate(device: torch.device, timer: Timer, n: int = MATRIX) -> float:
    """Returns operations a second of a float32 matrix product without tf32."""
    a, b = (torch.randn(n, n, device=device) for _ in range(2))
    allowed = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = False
    try:
        return 2 * n**3 / timer(lambda: a @ b, 10)
    finally:
        torch.backends.cuda.matmul.allow_tf32 = allowed


def row(case: Case, device: torch.device, bandwidth: float, rate: float, repeats: int, timer: Timer) -> dict[str, str]:
    """Measures one case in both forms; a form that runs out of memory says so."""
    result = {"use": case.use, "size": case.size}
    seconds = {}
    for backend in BACKENDS:
        time, peak = measure(case, backend, device, repeats, timer)
        seconds[backend] = time
        result[f"{backend}, ms"] = "out of memory" if time == math.inf else f"{1e3 * time:.3f}"
        result[f"{backend} peak, MB"] = "-" if time == math.inf else f"{peak / 1e6:,.0f}"
    fused, plain = (seconds[backend] for backend in BACKENDS)
    by_memory, by_arithmetic = case.bytes / bandwidth, case.operations / rate
    result["ratio"] = f"{plain / fused:.1f}x" if max(fused, plain) < math.inf else "-"
    result["MB moved at least"] = f"{case.bytes / 1e6:,.1f}"
    result["Mflop"] = f"{case.operations / 1e6:,.0f}"
    result["share of the limit, %"] = f"{100 * max(by_memory, by_arithmetic) / fused:.0f}" if fused < math.inf else "-"
    result["limit"] = "memory" if by_memory >= by_arithmetic else "arithmetic"
    return result


def measure(case: Case, backend: str, device: torch.device, repeats: int, timer: Timer) -> tuple[float, int]:
    """Returns seconds of a forward and backward pass (infinite if it does not fit) and the bytes that it allocates beyond its arguments."""
    leaves = case.leaves(device)
    try:
        step = _step(case, backend, leaves)
        step()
        peak = _peak(step, device)
        return timer(step, repeats), peak
    except torch.cuda.OutOfMemoryError:
        return math.inf, 0
    finally:
        del leaves
        _free(device)


def step_row(name: str, batch: int, L: int, device: torch.device, repeats: int, timer: Timer) -> dict[str, str]:
    """Measures a training step of one model in each way of `STEPS`."""
    result = {"model": name, "batch": str(batch), "L": f"{L:,}"}
    for way, plan in STEPS.items():
        try:
            step = training_step(SSMS[name], L, batch, device, plan)
            step()
            result.setdefault("peak, MB", f"{_peak(step, device) / 1e6:,.0f}")
            time = timer(step, repeats)
            result |= {f"{way}, ms": f"{1e3 * time:.2f}", f"{way}, samples/s": f"{batch / time:,.0f}"}
        except torch.cuda.OutOfMemoryError:
            result.setdefault("peak, MB", "-")
            result |= {f"{way}, ms": "out of memory", f"{way}, samples/s": "-"}
        finally:
            step = None
            _free(device)
    return result


def _step(case: Case, backend: str, leaves: list[Tensor]) -> Callable[[], object]:
    with torch.no_grad():
        weights = torch.randn_like(case.call(backend, *leaves))

    def step() -> object:
        return torch.autograd.grad(case.call(backend, *leaves), leaves, weights)

    return step


def _free(device: torch.device) -> None:
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()


def _peak(step: Callable[[], object], device: torch.device) -> int:
    if device.type != "cuda":
        return 0
    before = torch.cuda.memory_allocated(device)
    torch.cuda.reset_peak_memory_stats(device)
    step()
    return torch.cuda.max_memory_allocated(device) - before
