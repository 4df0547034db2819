"""Speed, memory and accuracy of the SSM kernels and of the FFT convolution, forward + backward, against the naive forms.

Our side starts from the trained parameters (discretisation included); the naive side starts from discretised ones.
"""

from collections.abc import Callable, Iterator
from copy import deepcopy

import numpy as np
import torch
from torch import Tensor

from ..kernels import DiagonalKernel, DPLRKernel, Kernel
from ..kernels.diagonal import DiagonalInit
from ..layers.s4 import S4Block
from ..linalg.diag_init import s4d_lin
from ..ops.fftconv import fftconv
from . import naive
from .timing import Table, machine, peak_bytes, seconds

H, PAIRS = 256, 32
LENGTHS = (1024, 4096, 16384)
CHUNKED = (
    16384  # the naive DPLR kernel goes through the channels in 4 chunks from this length on, or it needs over 10 GB
)


def tables(quick: bool = False) -> Iterator[Table]:
    """Measures and yields the tables; `quick` leaves out the longest kernels."""
    lengths = LENGTHS[:2] if quick else LENGTHS
    repeats = 3 if quick else 5
    note = (
        f"H={H}, {PAIRS} conjugate pairs, float32, forward + backward; {machine()}. Peak: largest sum of live tensors. "
    )
    note += "Error: of K, and of its gradients, against float64, relative to the largest entry. "
    note += f"From L={CHUNKED} on the naive S4 kernel goes through the channels in 4 chunks; its peak is that of one."
    rows = [kernel_row(name, L, repeats if L < CHUNKED else 3) for name in SIDES for L in lengths]
    yield Table("SSM kernels", note, rows)
    sizes = [(4, 256, 1024), (4, 256, 4096), (32, 256, 1024)] + ([] if quick else [(4, 256, 16384)])
    yield Table(
        "FFT convolution", f"float32, forward + backward; {machine()}.", [conv_row(*size, repeats) for size in sizes]
    )
    note = f"H=256, n=64 complex states, L=1024, B=8, float32, forward + backward, each part alone; {machine()}."
    yield Table("One S4-PTD block", note, block_rows(8, 1024, repeats))


def naive_s4d(L: int) -> Callable[[], None]:
    """Returns forward + backward of the naive S4D kernel."""
    w = torch.randn(H, PAIRS, dtype=torch.cfloat).requires_grad_()
    z = torch.complex(-0.05 * torch.rand(H, PAIRS) - 1e-3, 3 * torch.rand(H, PAIRS)).requires_grad_()
    return lambda: naive.diagonal_kernel(w, z, L).sum().backward()


def naive_s4(L: int) -> Callable[[], None]:
    """Returns forward + backward of the naive DPLR kernel, in chunks of channels when L is large."""
    Lambda = torch.complex(torch.full((PAIRS,), -0.5), 3.0 * torch.arange(PAIRS)).requires_grad_()
    P, B = (torch.randn(PAIRS, dtype=torch.cfloat).requires_grad_() for _ in range(2))
    C, dt = torch.randn(H, PAIRS, dtype=torch.cfloat).requires_grad_(), torch.full((H,), 0.01).requires_grad_()
    chunks = 4 if L >= CHUNKED else 1

    def run() -> None:
        for c, step in zip(C.chunk(chunks), dt.chunk(chunks), strict=True):
            naive.dplr_kernel(Lambda, P, B, c, step, L).sum().backward()

    return run


SIDES: dict[str, tuple[type[Kernel], Callable[[int], Callable[[], None]]]] = {
    "S4D / S4-PTD": (DiagonalKernel, naive_s4d),
    "S4 (DPLR)": (DPLRKernel, naive_s4),
}


def kernel_row(name: str, L: int, repeats: int) -> dict[str, str]:
    """Measures one kernel at one length."""
    torch.manual_seed(0)
    kind, naive_side = SIDES[name]
    kernel = kind(H, 2 * PAIRS)
    ours, plain = lambda: kernel(L).sum().backward(), naive_side(L)
    time = seconds({"ours": ours, "naive": plain}, repeats)
    error, grad_error = errors(kernel, L)
    return {
        "kernel": name,
        "L": str(L),
        "naive, ms": f"{1e3 * time['naive']:,.0f}",
        "ours, ms": f"{1e3 * time['ours']:.1f}",
        "ratio": f"{time['naive'] / time['ours']:,.0f}x",
        "naive peak, MB": f"{peak_bytes(plain) / 1e6:,.0f}",
        "ours peak, MB": f"{peak_bytes(ours) / 1e6:,.0f}",
        "error of K": f"{error:.0e}",
        "of gradients": f"{grad_error:.0e}",
    }


def errors(kernel: Kernel, L: int) -> tuple[float, float]:
    """Returns the largest relative error of K and of the gradients of all parameters, against the same kernel in float64."""
    exact = deepcopy(kernel).double()
    weights = torch.randn(1, kernel.H, L, dtype=torch.float64)

    def run(k: Kernel) -> list[Tensor]:
        K = k(L)
        return [K, *torch.autograd.grad((K * weights).sum(), list(k.parameters()))]

    relative = [
        float((a - b).detach().abs().max() / b.detach().abs().max())
        for a, b in zip(run(kernel), run(exact), strict=True)
    ]
    return relative[0], max(relative[1:])


def conv_row(B: int, channels: int, L: int, repeats: int) -> dict[str, str]:
    """Measures the FFT convolution at one size."""
    u, K = torch.randn(B, channels, L, requires_grad=True), torch.randn(channels, L, requires_grad=True)
    sides = {name: lambda f=f: f(u, K).sum().backward() for name, f in (("ours", fftconv), ("naive", naive.fftconv))}
    time = seconds(sides, repeats)
    return {
        "B": str(B),
        "H": str(channels),
        "L": str(L),
        "naive, ms": f"{1e3 * time['naive']:.0f}",
        "ours, ms": f"{1e3 * time['ours']:.1f}",
        "ratio": f"{time['naive'] / time['ours']:.1f}x",
        "naive peak, MB": f"{peak_bytes(sides['naive']) / 1e6:,.0f}",
        "ours peak, MB": f"{peak_bytes(sides['ours']) / 1e6:,.0f}",
    }


def block_rows(B: int, L: int, repeats: int) -> list[dict[str, str]]:
    """Measures a whole S4-PTD block and each of its parts; the rest is what the parts do not explain."""
    n = 2 * PAIRS
    start = DiagonalInit(s4d_lin(n), np.ones(n, complex), None, np.ones(n))
    block = S4Block(DiagonalKernel(H, init=start))
    x, u, mixed = (
        torch.randn(B, L, H),
        torch.randn(B, H, L, requires_grad=True),
        torch.randn(B, L, H, requires_grad=True),
    )
    K = torch.randn(1, H, L, requires_grad=True)
    run = lambda f: lambda: f().sum().backward()
    parts = {
        "block": run(lambda: block(x)),
        "kernel": run(lambda: block.kernel(L)),
        "FFT convolution": run(lambda: fftconv(u, K)),
        "GELU, linear map, GLU": run(lambda: block.mixer(mixed)),
    }
    time = seconds(parts, repeats)
    time["rest"] = 2 * time["block"] - sum(time.values())
    return [{"part": k, "ms": f"{1e3 * v:.1f}", "share": f"{v / time['block']:.0%}"} for k, v in time.items()]
