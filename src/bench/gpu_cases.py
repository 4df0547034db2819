"""What `python -m src.bench gpu` measures: every operation at the papers' sizes and at long sequences, with its least traffic and work.

Bytes: what an operation has to read and write once, forward (inputs, output) and backward (inputs and the output's gradient again, the
inputs' gradients), whatever it does in between. Operations: real additions and multiplications of the algorithm, an exponential
counting as one; of a matrix product or a transform those of its textbook form. Both are lower bounds, so a share of the limit below
one may hide in either; what counts is that nothing is above it.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from ..ops.blocks import table_lengths
from ..ops.causal_conv import causal_conv_silu
from ..ops.diagonal import log_vandermonde
from ..ops.fftconv import fftconv
from ..ops.fftconv.length import fft_length
from ..ops.low_rank import LowRankSystem, low_rank_kernel
from ..ops.scan import scan
from ..ops.selective_scan import selective_scan

P1_LRA = "P1, LRA"
P2_COPY = "P2, Mamba"
S5_IMAGE = "S5, Image"
LONG = "long"


@dataclass(frozen=True)
class Case:
    """One operation at one size.

    Attributes:
        leaves: makes the arguments on a device, all of them trainable.
        call: the operation: (backend, *leaves) to its output.
        bytes, operations: of a forward and a backward pass; see above.
    """

    operation: str
    use: str
    size: str
    leaves: Callable[[torch.device], list[Tensor]]
    call: Callable[..., Tensor]
    bytes: int
    operations: int


def all_cases(quick: bool = False) -> Iterator[Case]:
    """Yields the cases; `quick` leaves out the long sequences."""
    for use, b, L in ((P2_COPY, 8, 384), (LONG, 2, 16384), (LONG, 1, 65536)):
        if use != LONG or not quick:
            yield selective_case(use, b, L, D=128, N=16, is_complex=False)
            yield selective_case(use, b, L, D=128, N=8, is_complex=True)
            yield conv_case(use, b, L, D=128, K=4)
    for use, H, N, L in (
        (P1_LRA, 256, 64, 4096),
        (P1_LRA, 128, 64, 16384),
        (LONG, 256, 32, 16384),
        (LONG, 256, 32, 65536),
    ):
        if use != LONG or not quick:
            yield diagonal_case(use, H, N, L)
    for use, H, n, L in ((P1_LRA, 256, 64, 4096), (LONG, 256, 64, 16384), (LONG, 256, 64, 65536)):
        if use != LONG or not quick:
            yield dplr_case(use, H, n, L)
    for use, B, H, L in (
        (P1_LRA, 50, 512, 1024),
        (P1_LRA, 16, 256, 4096),
        (LONG, 20, 128, 16384),
        (LONG, 4, 128, 65536),
    ):
        if use != LONG or not quick:
            yield fftconv_case(use, B, H, L, torch.float32)
            yield fftconv_case(use, B, H, L, torch.bfloat16)
    for use, B, L, P in ((S5_IMAGE, 50, 1024, 384), (LONG, 32, 16384, 256), (LONG, 4, 65536, 256)):
        if use != LONG or not quick:
            yield scan_case(use, B, L, P)


def selective_case(use: str, b: int, L: int, D: int, N: int, is_complex: bool) -> Case:
    """The selective scan, all selective, with gate and skip: an exponential, an update and a read-out for each step and state."""
    planes = 2 if is_complex else 1

    def leaves(device: torch.device) -> list[Tensor]:
        draw = _drawer(device)
        A = -torch.arange(1.0, N + 1, device=device).repeat(D, 1)
        A = torch.complex(A, math.pi * torch.arange(N, device=device).float().repeat(D, 1)) if is_complex else A
        field = torch.complex64 if is_complex else torch.float32
        B, C = draw(b, L, N, dtype=field), draw(b, L, N, dtype=field)
        return _trainable(draw(b, L, D), draw(b, L, D) - 3, A, B, C, draw(D), draw(b, L, D), draw(D))

    def call(backend: str | None, x, dt, A, B, C, skip, z, bias) -> Tensor:
        return selective_scan(x, dt, A, B, C, skip, z, bias, softplus=True, backend=backend)

    wide, narrow = b * L * D, 2 * b * L * N * planes  # x, dt, z, out alike; B and C
    traffic = 4 * (3 * wide + narrow + wide) + 4 * (4 * wide + narrow + 3 * wide + narrow)
    updates = b * L * D * N
    work = updates * ((6 + 18) if not is_complex else (16 + 48))
    size = f"b={b}, L={L:,}, D={D}, N={N}{' complex' if is_complex else ''}"
    return Case("selective scan", use, size, leaves, call, traffic, work)


def conv_case(use: str, b: int, L: int, D: int, K: int) -> Case:
    """Mamba's short convolution and SiLU: K taps and a sigmoid (4) an entry; again, with both gradients and the derivative, backwards."""

    def leaves(device: torch.device) -> list[Tensor]:
        draw = _drawer(device)
        return _trainable(draw(b, L, D), draw(K, D), draw(D))

    call = lambda backend, x, weight, bias: causal_conv_silu(x, weight, bias, backend=backend)[0]
    entries = b * L * D
    work = entries * ((2 * K + 5) + (2 * K + 10 + 4 * K))
    return Case("short convolution", use, f"b={b}, L={L:,}, D={D}, K={K}", leaves, call, 4 * entries * (2 + 3), work)


def diagonal_case(use: str, H: int, N: int, L: int) -> Case:
    """S4D's kernel: two tables of sqrt(L) powers a state and a product of them, 4 L N operations, three times with the backward pass."""

    def leaves(device: torch.device) -> list[Tensor]:
        draw = _drawer(device)
        z = torch.complex(
            -0.05 * torch.rand(H, N, device=device), 0.05 * math.pi * torch.arange(N, device=device).repeat(H, 1)
        )
        return _trainable(draw(1, H, N, dtype=torch.complex64), z.to(torch.complex128))

    traffic = (H * N * (8 + 16) + 4 * H * L) + (2 * H * N * (8 + 16) + 4 * H * L)
    work = 3 * 4 * H * L * N + 2 * 8 * H * N * sum(table_lengths(L))
    call = lambda backend, w, z: log_vandermonde(w, z, L, backend=backend)
    return Case("diagonal kernel", use, f"H={H}, N={N}, L={L:,}", leaves, call, traffic, work)


def dplr_case(use: str, H: int, n: int, L: int) -> Case:
    """S4's kernel by the steps of `low_rank_powers` (rank 1): n^2 a coarse step, a product of n L, three times with the backward pass."""
    M, S = table_lengths(L)

    def leaves(device: torch.device) -> list[Tensor]:
        draw = _drawer(device, torch.float64)
        angle = 0.1 * torch.arange(n // 2, device=device, dtype=torch.float64)
        d = torch.cat([0.99 * angle.cos(), 0.99 * angle.sin()]).repeat(H, 1)
        p, q = 1e-3 * draw(H, 1, n), 1e-3 * draw(H, 1, n)
        return _trainable(d, p, q, draw(H, n), draw(H, 1, n).float())

    def call(backend: str | None, d, p, q, B, C) -> Tensor:
        return low_rank_kernel(LowRankSystem(d, p, q, B), C, L, backend=backend)

    traffic = H * (4 * n * 8 + n * 4 + 4 * L) + H * (2 * (4 * n * 8 + n * 4) + 4 * L)
    forward = 2 * H * (n * n * M + n * M * S + n * n * S) + 10 * H * 3 * n * S
    return Case("S4 kernel", use, f"H={H}, n={n}, L={L:,}", leaves, call, traffic, 3 * forward)


def fftconv_case(use: str, B: int, H: int, L: int, dtype: torch.dtype) -> Case:
    """One causal kernel a channel: transforms of length n, 2.5 n log2 n each (real), and a product of spectra."""

    def leaves(device: torch.device) -> list[Tensor]:
        draw = _drawer(device)
        return _trainable(draw(B, H, L).to(dtype), draw(H, L) / L)

    n = fft_length(L, torch.device("cuda"))
    transforms = (2 * B * H + H) + (3 * B * H + 2 * H)  # u, y, K; then u, its gradient, y's, K and K's gradient
    traffic = dtype.itemsize * B * H * L * (2 + 3) + 4 * H * L * (1 + 2)
    work = int(transforms * 2.5 * n * math.log2(n)) + 8 * (n // 2) * B * H * 3
    name = str(dtype).removeprefix("torch.")
    call = lambda backend, u, K: fftconv(u, K, backend=backend)
    return Case("FFT convolution", use, f"B={B}, H={H}, L={L:,}, {name}", leaves, call, traffic, work)


def scan_case(use: str, B: int, L: int, P: int) -> Case:
    """S5's scan with one pole a state: a complex product and sum a step, twice that in the backward pass."""

    def leaves(device: torch.device) -> list[Tensor]:
        draw = _drawer(device)
        a = torch.polar(torch.full((P,), 0.99, device=device), 0.1 * torch.arange(P, device=device).float())
        return _trainable(a, draw(B, L, P, dtype=torch.complex64))

    states = B * L * P
    call = lambda backend, a, b: scan(a, b, backend=backend)
    return Case("scan", use, f"B={B}, L={L:,}, P={P}", leaves, call, 8 * states * (2 + 3), states * (8 + 16))


def _drawer(device: torch.device, default: torch.dtype = torch.float32) -> Callable[..., Tensor]:
    generator = torch.Generator(device).manual_seed(0)
    return lambda *shape, dtype=default: torch.randn(*shape, generator=generator, dtype=dtype, device=device)


def _trainable(*tensors: Tensor) -> list[Tensor]:
    return [tensor.detach().requires_grad_() for tensor in tensors]
