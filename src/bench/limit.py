"""What a training step would take if this core did nothing but what it must: a lower limit, measured piece by piece.

| piece        | what is counted                                    | at which rate                                             |
|--------------|----------------------------------------------------|-----------------------------------------------------------|
| products     | every matrix product of the step, by its shapes    | that product alone, on operands of these shapes           |
| transforms   | every row that the plain convolution transforms    | rows that stay in cache, by the library or by our loops,   |
|              |                                                    | whichever is faster here                                   |
| activations  | every tensor that is kept for the backward pass    | it and its gradient written once and read once             |

Elementwise functions, recurrences, norms and the optimizer count as nothing, so no step can reach the limit; those with much of them
(the scans of S5 and Mamba) stay further from it.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple
from unittest import mock

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks
from torch.utils._python_dispatch import TorchDispatchMode

from ..ops.fftconv import FFTCONV, fftconv
from ..ops.lanes import WIDTH
from .timing import seconds

aten = torch.ops.aten
PRODUCTS = {aten.mm.default, aten.addmm.default, aten.bmm.default, aten.baddbmm.default, aten.bmm.out, aten.mm.out}
RESIDENT_BYTES = 1 << 19  # of a batch of rows that stays in cache
COPIED_BYTES = 1 << 26  # of a copy that does not


class Limit(NamedTuple):
    """Seconds of a step."""

    products: float
    transforms: float
    activations: float

    @property
    def total(self) -> float:
        return sum(self)


class Work(TorchDispatchMode):
    """Counts what runs under it.

    Attributes:
        products: calls by (operation, shapes, strides and dtypes of the operands).
        rows: transformed rows by (is the input real, length, dtype of the input).
    """

    def __init__(self) -> None:
        super().__init__()
        self.products: Counter[tuple] = Counter()
        self.rows: Counter[tuple[bool, int, torch.dtype]] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        if func in PRODUCTS:
            operands = tuple((tuple(x.shape), x.stride(), x.dtype) for x in args if isinstance(x, Tensor))
            self.products[func.overloadpacket.default, operands] += 1
        elif func == aten._fft_r2c.default:
            self.rows[True, args[0].shape[-1], args[0].dtype] += args[0][..., 0].numel()
        elif func == aten._fft_c2r.default:
            self.rows[False, args[3], args[0].dtype] += args[0][..., 0].numel()
        return func(*args, **(kwargs or {}))


def limit(step: Callable[[], object], repeats: int = 5) -> Limit:
    """Returns the limit of a step, from two calls of it and from measurements of its pieces on this machine now."""
    work, kept = Work(), {}

    def keep(tensor: Tensor) -> Tensor:
        if not isinstance(tensor, torch.nn.Parameter):
            storage = tensor.untyped_storage()
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with saved_tensors_hooks(keep, lambda tensor: tensor):
        step()
    with plain_transforms(), work:
        step()
    products = sum(count * _product_seconds(*key, repeats) for key, count in work.products.items())
    transforms = sum(count * _row_seconds(*key, repeats) for key, count in work.rows.items())
    return Limit(products, transforms, 2 * sum(kept.values()) * _copy_seconds_a_byte(repeats))


@contextmanager
def plain_transforms() -> Iterator[None]:
    """The FFT convolution by the library's transforms, which can be counted: our compiled loops make none that torch sees."""
    with mock.patch.dict(FFTCONV.forms, compiled=FFTCONV.forms["torch"]):
        yield


def _product_seconds(operation: Any, operands: tuple, repeats: int) -> float:
    tensors = [torch.empty_strided(shape, stride, dtype=dtype).fill_(0.5) for shape, stride, dtype in operands]
    return seconds({"": lambda: operation(*tensors)}, repeats)[""]


def _row_seconds(real: bool, n: int, dtype: torch.dtype, repeats: int) -> float:
    """Seconds of one transform among many: the real one of n numbers, or back."""
    x = torch.zeros(max(1, RESIDENT_BYTES // (n * dtype.to_real().itemsize)), n if real else n // 2 + 1, dtype=dtype)
    transform = (lambda: torch.fft.rfft(x)) if real else (lambda: torch.fft.irfft(x, n=n))
    times = max(1, COPIED_BYTES // (16 * RESIDENT_BYTES))
    library = seconds({"": lambda: [transform() for _ in range(times)]}, repeats)[""] / (times * len(x))
    return min(library, _own_row_seconds(n // 2, dtype.to_real(), times, repeats))


def _own_row_seconds(L: int, dtype: torch.dtype, times: int, repeats: int) -> float:
    """Seconds of one of our transforms, as share of a convolution of one block of channels: its kernel, there and back."""
    u, K = torch.zeros(4, L, WIDTH, dtype=dtype).transpose(1, 2), torch.zeros(WIDTH, L, dtype=dtype)
    with torch.no_grad():
        convolution = seconds({"": lambda: [fftconv(u, K, backend="compiled") for _ in range(times)]}, repeats)[""]
    return convolution / (times * (2 * len(u) + 1) * WIDTH)


def _copy_seconds_a_byte(repeats: int) -> float:
    """Seconds to read a byte and to write it."""
    source, target = (torch.zeros(COPIED_BYTES, dtype=torch.uint8) for _ in range(2))
    return seconds({"": lambda: target.copy_(source)}, repeats)[""] / COPIED_BYTES
