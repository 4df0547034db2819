"""Normalisation of (B, L, H): over channels (layer) or batch and time (batch). Padding enters no statistic."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from ..errors import UserError, did_you_mean
from .padding import valid


class LayerNorm(nn.LayerNorm):
    """Layer normalisation over H; every step for itself, so padding cannot matter."""

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """x: (..., H)."""
        return super().forward(x)


class NoNorm(nn.Identity):
    """The identity with a norm's signature."""

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        return x


class BatchNorm(nn.BatchNorm1d):
    """Batch normalisation over the valid steps of all sequences; parameters and buffers are `nn.BatchNorm1d`'s."""

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """x: (B, L, H), or one step (B, H) in evaluation.

        Raises:
            ValueError: one step in training mode, whose statistics would not be those of a sequence.
        """
        if x.ndim == 2 and self.training:
            raise ValueError("batch norm cannot take statistics step by step: call model.eval() before model.step()")
        if self.training and lengths is not None:
            return self._masked(x, valid(lengths, x.shape[1])[..., None])
        return super().forward(x.flatten(0, -2)).view(x.shape)

    def _masked(self, x: Tensor, mask: Tensor) -> Tensor:
        """Batch norm with the mean and variance of the entries where `mask`, (B, L, 1), is true."""
        x = x.to(self.weight.dtype)
        count = mask.sum()
        mean = x.masked_fill(~mask, 0).sum((0, 1)) / count
        centred = (x - mean).masked_fill(~mask, 0)
        var = centred.square().sum((0, 1)) / count
        with torch.no_grad():
            self.num_batches_tracked += 1
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(var * count / (count - 1).clamp(min=1), self.momentum)
        return centred * (self.weight * torch.rsqrt(var + self.eps)) + self.bias


@contextmanager
def frozen_averages(module: nn.Module) -> Iterator[None]:
    """While it holds, batch norms inside a module do not add batches to their running averages."""
    norms = [norm for norm in module.modules() if isinstance(norm, BatchNorm)]
    before = [(norm.momentum, norm.num_batches_tracked.clone()) for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
    try:
        yield
    finally:
        for norm, (momentum, count) in zip(norms, before, strict=True):
            norm.momentum = momentum
            norm.num_batches_tracked.copy_(count)


def make_norm(name: str | None, d_model: int, momentum: float = 0.1) -> nn.Module:
    """Returns the norm called 'batch', 'layer' or, for none, None.

    Args:
        momentum: of batch norm, the weight of the newest batch. (flax writes one minus this: S5's 0.95 is 0.05 here.)
    """
    if name is None:
        return NoNorm()
    if name == "layer":
        return LayerNorm(d_model)
    if name == "batch":
        return BatchNorm(d_model, momentum=momentum)
    raise UserError(f"unknown norm '{name}'{did_you_mean(name, ('batch', 'layer'))}")
