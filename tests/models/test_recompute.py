"""A backbone that computes its blocks again gives the same numbers and keeps less."""

import pytest
import torch
from torch.autograd.graph import saved_tensors_hooks

from src.kernels import DiagonalKernel
from src.layers import S4Block
from src.models import ResidualBackbone


def trained(recompute: bool, norm: str, lengths) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """Output and gradients, and buffers, of one step with dropout."""
    torch.manual_seed(0)
    layers = [S4Block(DiagonalKernel(16, 4), dropout=0.2) for _ in range(2)]
    backbone = ResidualBackbone(layers, 16, norm=norm, dropout=0.1)
    backbone.recompute = recompute
    x = torch.randn(3, 20, 16, requires_grad=True)
    y = backbone(x, lengths=lengths)
    gradients = torch.autograd.grad(y.square().sum(), [x, *backbone.parameters()])
    return [y, *gradients], list(backbone.buffers())


@pytest.mark.parametrize("norm", ["layer", "batch"])
@pytest.mark.parametrize("lengths", [None, torch.tensor([20, 7, 13])])
def test_the_same_numbers_to_the_bit(norm, lengths):
    """Dropout masks are drawn again as they were; running averages see each batch once."""
    plain, again = (trained(recompute, norm, lengths) for recompute in (False, True))
    assert all(map(torch.equal, plain[0], again[0]))
    assert all(map(torch.equal, plain[1], again[1]))


def test_only_what_enters_a_block_is_kept():
    kept = []
    for recompute in (False, True):
        backbone = ResidualBackbone([S4Block(DiagonalKernel(16, 4)) for _ in range(2)], 16, norm=None)
        backbone.recompute = recompute
        x, storages = torch.randn(3, 500, 16, requires_grad=True), {}
        keep = lambda t, storages=storages: storages.__setitem__(t.untyped_storage().data_ptr(), t) or t
        with saved_tensors_hooks(keep, lambda t: t):
            y = backbone(x)
        kept.append(sum(t.untyped_storage().nbytes() for t in storages.values()))
        y.sum().backward()
    assert kept[1] <= 2 * x.numel() * 4 < kept[0]
