"""The diagonal kernel at the papers' sizes: S4D and S4-PTD on LRA (two rows: bidirectional), S4D-Real; and the state after a long input."""

import torch

from src.ops.diagonal import log_vandermonde, log_vandermonde_transpose

H = 256


def _run(field: torch.dtype, R: int, N: int, L: int) -> None:
    w = torch.zeros(R, H, N, dtype=field, requires_grad=True)
    z = torch.zeros(H, N, dtype=torch.complex128 if field.is_complex else torch.float64, requires_grad=True)
    log_vandermonde(w, z, L, backend="triton").sum().backward()
    u = torch.zeros(R, H, L, dtype=field.to_real(), requires_grad=True)
    torch.real(log_vandermonde_transpose(u, z, backend="triton")).sum().backward()


def s4d() -> None:
    for L in (1024, 4096, 16384, 65536):
        _run(torch.complex64, 1, 32, L)


def s4_ptd() -> None:
    for L in (1024, 4096, 16384):
        _run(torch.complex64, 2, 64, L)


def s4d_real() -> None:
    for L in (1024, 4096, 16384):
        _run(torch.float32, 2, 64, L)


def short() -> None:
    _run(torch.complex64, 1, 1, 1)


def double() -> None:
    for field in (torch.complex128, torch.float64):
        _run(field, 1, 32, 4096)


CASES = [s4d, s4_ptd, s4d_real, short, double]
