"""Other implementations beside ours: the same layer with the same parameters, outputs compared, forward and backward timed in turn.

Whatever of them is installed takes part (`pip install -r requirements-peers.txt`). One thread, CPU time, medians.
"""

import importlib.metadata
import importlib.util
from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ..errors import UserError
from ..layers import S5, S5Options
from ..layers.mamba import MambaBlock, SSMType, mamba_block
from ..layers.s5_init import normal_eigenbasis
from .timing import Table, machine, peak_bytes, seconds

H, D_STATE, BATCH = 128, 64, 8
SIZES = ((128, 5), (384, 5), (1024, 5))  # L and repeats


class Peer(NamedTuple):
    """Another implementation of a layer.

    Attributes:
        layer: what it computes.
        module: what is imported.
        package: where it comes from, with a version.
        make: returns their layer and ours, with equal parameters.
    """

    layer: str
    module: str
    package: str
    make: Callable[[], tuple[nn.Module, nn.Module]]


def mambapy_block() -> tuple[nn.Module, MambaBlock]:
    """The Mamba block, real and selective, d_state 16, by a parallel scan in plain torch."""
    from mambapy.mamba import MambaBlock as Theirs
    from mambapy.mamba import MambaConfig

    theirs, ours = Theirs(MambaConfig(d_model=H, n_layers=1)), mamba_block(H, SSMType.S6_REAL)
    with torch.no_grad():
        theirs.in_proj.weight.copy_(ours.in_proj.weight)
        theirs.out_proj.weight.copy_(ours.out_proj.weight)
        theirs.conv1d.weight.copy_(ours.conv_weight.T[:, None])
        theirs.conv1d.bias.copy_(ours.conv_bias)
        theirs.x_proj.weight.copy_(ours.ssm.x_proj.weight)
        theirs.dt_proj.weight.copy_(ours.ssm.dt_weight)
        theirs.dt_proj.bias.copy_(ours.ssm.inv_dt)
        theirs.A_log.copy_(ours.ssm.A_log)
        theirs.D.copy_(ours.ssm.D)
    return theirs, ours


def s5_pytorch() -> tuple[nn.Module, nn.Module]:
    """S5's SSM with all D_STATE states of one block, by an associative scan in torch."""
    from s5 import S5 as Theirs

    theirs = Theirs(H, D_STATE)
    ours = S5(H, normal_eigenbasis(D_STATE), 1, S5Options(conj_sym=False))
    with torch.no_grad():
        theirs.seq.Lambda.copy_(torch.complex(ours.Lambda_re, ours.Lambda_im))
        theirs.seq.B.copy_(ours.B)
        theirs.seq.C.copy_(torch.view_as_complex(ours.C[0]))
        theirs.seq.D.copy_(ours.D)
        theirs.seq.log_step.copy_(ours.log_dt.view_as(theirs.seq.log_step))
    return theirs, ours


PEERS = (
    Peer("Mamba block", "mambapy", "mambapy", mambapy_block),
    Peer("S5 SSM", "s5", "s5-pytorch", s5_pytorch),
)


def installed() -> list[Peer]:
    """Returns the peers that can be imported."""
    return [peer for peer in PEERS if importlib.util.find_spec(peer.module) is not None]


def rows(quick: bool = False) -> list[dict[str, str]]:
    """Measures every installed peer beside ours."""
    sizes = ((128, 2),) if quick else SIZES
    return [row(peer, L, repeats) for peer in installed() for L, repeats in sizes]


def row(peer: Peer, L: int, repeats: int) -> dict[str, str]:
    """Compares and measures one peer on sequences (BATCH, L, H)."""
    torch.manual_seed(0)
    theirs, ours = peer.make()
    x = torch.randn(BATCH, L, H, requires_grad=True)
    with torch.no_grad():
        a, b = ours(x), theirs(x)
    sides = {"ours": lambda: _update(ours, x), "theirs": lambda: _update(theirs, x)}
    times = seconds(sides, repeats)
    return {
        "layer": peer.layer,
        "peer": f"{peer.package} {importlib.metadata.version(peer.package)}",
        "L": str(L),
        "theirs, ms": f"{1e3 * times['theirs']:,.1f}",
        "ours, ms": f"{1e3 * times['ours']:,.1f}",
        "ratio": f"{times['theirs'] / times['ours']:.1f}x",
        "theirs peak, MB": f"{peak_bytes(sides['theirs']) / 1e6:,.0f}",
        "ours peak, MB": f"{peak_bytes(sides['ours']) / 1e6:,.0f}",
        "outputs differ by": f"{float((a - b).abs().max() / b.abs().max()):.0e}",
    }


def _update(layer: nn.Module, x: Tensor) -> None:
    """Forward and backward: gradients of the input and of all parameters."""
    torch.autograd.grad(layer(x).square().sum(), [x, *layer.parameters()])


def tables(quick: bool = False) -> Iterator[Table]:
    """Measures and yields the table.

    Raises:
        UserError: no peer is installed.
    """
    if not installed():
        raise UserError("no peer is installed: pip install -r requirements-peers.txt")
    note = (
        f"Forward and backward of one layer with equal parameters, batch {BATCH}, H={H}, float32, CPU time, medians; outputs relative "
        f"to the largest entry; {machine()}."
    )
    yield Table("Beside other implementations", note, rows(quick))
