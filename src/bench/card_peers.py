"""Our operations beside the CUDA kernels of mamba-ssm and of state-spaces' extension, where those are installed.

Same inputs, same outputs, forward and backward, both timed on the card.
"""

import importlib.util
import sys
from pathlib import Path

import torch

from ..ops.diagonal import log_vandermonde
from ..ops.selective_scan import selective_scan
from .card import table
from .gpu import event_seconds

PEERS = {"mamba_ssm": "selective scan of mamba-ssm", "structured_kernels": "diagonal kernel of state-spaces' extension"}
SCANS = ((8, 2048, 1536, 16), (16, 1024, 768, 16), (8, 384, 128, 16))  # b, L, D, N
KERNELS = ((256, 32, 1024), (256, 32, 16384), (512, 64, 4096))  # H, N (a power of two), L


def installed() -> list[str]:
    """Returns which of the peers are here."""
    return [name for name in PEERS if importlib.util.find_spec(name) is not None]


def main(path: Path) -> None:
    """Writes a table for each peer that is here to `path`."""
    rows = {
        "mamba_ssm": lambda: [scan_row(*size) for size in SCANS],
        "structured_kernels": lambda: [kernel_row(*size) for size in KERNELS],
    }
    path.write_text("\n\n".join(f"{PEERS[name]}:\n\n{table(rows[name]())}" for name in installed()))


def scan_row(b: int, L: int, D: int, N: int, device: str = "cuda") -> dict[str, str]:
    """Forward and backward of both, float32, real, everything selective; theirs has time last."""
    from mamba_ssm.ops.selective_scan_interface import selective_scan_fn

    generator = torch.Generator().manual_seed(0)
    draw = lambda *shape: torch.randn(*shape, generator=generator).to(device).requires_grad_()
    x, dt, B, C, z = draw(b, L, D), draw(b, L, D), draw(b, L, N), draw(b, L, N), draw(b, L, D)
    A = (-torch.rand(D, N, generator=generator)).to(device).requires_grad_()
    skip, bias = draw(D), draw(D)
    ours = lambda: selective_scan(x, dt, A, B, C, skip, z, bias, True)
    first = lambda tensor: tensor.mT.contiguous()
    theirs = lambda: (
        selective_scan_fn(
            first(x), first(dt), A, first(B), first(C), skip, z=first(z), delta_bias=bias, delta_softplus=True
        ).mT
    )
    with torch.no_grad():
        difference = _difference(ours(), theirs())
    times = [event_seconds(lambda run=run: run().sum().backward(), 20) for run in (ours, theirs)]
    return _row("b, L, D, N", (b, L, D, N), times, difference)


def kernel_row(H: int, N: int, L: int, device: str = "cuda") -> dict[str, str]:
    """S4D's kernel of N conjugate pairs, float32. Theirs is 2 Re sum_n w_n exp(z_n t), its backward pass a function of its own."""
    from structured_kernels import vand_log_mult_sym_bwd, vand_log_mult_sym_fwd

    generator = torch.Generator().manual_seed(0)
    w = torch.randn(H, N, dtype=torch.complex64, generator=generator).to(device).requires_grad_()
    rate, turn = torch.rand(H, N, generator=generator), torch.arange(N)
    z = (0.01 * torch.complex(-rate, turn.expand(H, N).float())).to(device).requires_grad_()
    ours = lambda: 2 * log_vandermonde(w, z, L)
    plain = (w.detach(), z.detach())
    with torch.no_grad():
        theirs = vand_log_mult_sym_fwd(*plain, L)
        difference = _difference(ours(), theirs)
    ones = torch.ones_like(theirs)
    both = lambda: (vand_log_mult_sym_fwd(*plain, L), vand_log_mult_sym_bwd(*plain, ones))
    times = [event_seconds(run, 20) for run in (lambda: ours().sum().backward(), both)]
    return _row("H, N, L", (H, N, L), times, difference)


def _difference(ours: torch.Tensor, theirs: torch.Tensor) -> float:
    return float((ours - theirs).abs().max() / theirs.abs().max())


def _row(sizes: str, values: tuple[int, ...], times: list[float], difference: float) -> dict[str, str]:
    return {
        sizes: ", ".join(map(str, values)),
        "ours, ms": f"{1e3 * times[0]:.3f}",
        "theirs, ms": f"{1e3 * times[1]:.3f}",
        "ratio": f"{times[1] / times[0]:.2f}",
        "outputs differ by": f"{difference:.0e}",
    }


if __name__ == "__main__":
    main(Path(sys.argv[1]))
