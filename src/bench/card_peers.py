"""Our selective scan beside mamba-ssm's CUDA kernel, where that is installed: same inputs, same outputs, both timed on the card."""

import sys
from pathlib import Path

import torch

from ..ops.selective_scan import selective_scan
from .card import table
from .gpu import event_seconds

SIZES = ((8, 2048, 1536, 16), (16, 1024, 768, 16), (8, 384, 128, 16))  # b, L, D, N


def main(path: Path) -> None:
    """Writes the table to `path`."""
    path.write_text(table([row(*size) for size in SIZES]))


def row(b: int, L: int, D: int, N: int, device: str = "cuda") -> dict[str, str]:
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
        a, c = ours(), theirs()
        difference = float((a - c).abs().max() / c.abs().max())
    times = [event_seconds(lambda run=run: run().sum().backward(), 20) for run in (ours, theirs)]
    return {
        "b, L, D, N": f"{b}, {L}, {D}, {N}",
        "ours, ms": f"{1e3 * times[0]:.3f}",
        "mamba-ssm, ms": f"{1e3 * times[1]:.3f}",
        "ratio": f"{times[1] / times[0]:.2f}",
        "outputs differ by": f"{difference:.0e}",
    }


if __name__ == "__main__":
    main(Path(sys.argv[1]))
