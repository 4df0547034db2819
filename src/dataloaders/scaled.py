"""Images (pixel after pixel, row by row) and sounds: whole numbers in memory or on disk, scaled when a batch is gathered.

x = (v / top - mean) / std for the stored number v, with a mean and a std for each channel. On another device the same x comes from a table
over all v that the host has computed: two devices round one formula differently.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from .base import Batch, MapDataset
from .cache import MappedArray
from .placement import Placement, send, tensor_of

CROP_PADDING = 4  # pixels mirrored at each side before a random crop


@dataclass(frozen=True)
class Scaling:
    """From a stored number v to (v / top - mean) / std: means and standard deviations of the channels in units of `top`."""

    mean: tuple[float, ...]
    std: tuple[float, ...]
    top: float = 255.0

    @cached_property
    def affine(self) -> tuple[Tensor, Tensor]:
        """(a, b) of x = a + b v, each (C,); made once, as a small batch costs little more than they do."""
        mean, std = torch.tensor(self.mean), torch.tensor(self.std)
        return -mean / std, 1 / (self.top * std)


@dataclass(frozen=True, eq=False)
class ScaledSequences(MapDataset):
    """Sequences of one length.

    Args:
        values: (N, L, C) whole numbers, L = side * side for images.
        labels: (N,) int64.
        scaling: to float32; None gives the numbers of one channel as (B, L) int64 tokens.
        order: (L,) the order in which pixels are read; None is row by row.
        augment: for images, random crop after mirrored padding by 4 pixels, and a mirror image half of the time.
        table: (256 or 65536, C) scaled numbers, from the smallest on; None computes them.
    """

    values: Tensor | MappedArray
    labels: Tensor
    scaling: Scaling | None
    order: Tensor | None = None
    augment: bool = False
    table: Tensor | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def batch(self, indices: Tensor, generator: torch.Generator | None = None) -> Batch:
        """See `SequenceDataset.batch`. Raises ValueError where augmentation has no generator to draw from."""
        values = tensor_of(self.values)
        rows = send(indices, values.device)
        x = values[rows]
        if self.augment:
            if generator is None:
                raise ValueError("an augmented data set needs a generator, so that a resumed run sees the same images")
            x = _crop_and_mirror(x, generator)
        if self.order is not None:
            x = x[:, self.order]
        return Batch(self._scale(x), self.labels[rows])

    def augmented(self) -> "ScaledSequences":
        """The same images with augmentation."""
        return replace(self, augment=True)

    def placed(self, placement: Placement) -> "ScaledSequences":
        """See `SequenceDataset.placed`."""
        arrays = {"values": self.values, "labels": self.labels, "order": self.order, "table": self._table()}
        return replace(self, **{name: placement.keep(x) for name, x in arrays.items() if x is not None})

    def _table(self) -> Tensor | None:
        if self.scaling is None or self.table is not None:
            return self.table
        values = tensor_of(self.values)
        stored = torch.iinfo(values.dtype)
        if stored.bits > 16:
            raise ValueError(f"expected numbers of 8 or 16 bits, got {values.dtype}")
        numbers = torch.arange(stored.min, stored.max + 1, dtype=values.dtype)
        return self._scale(numbers[:, None].expand(-1, values.shape[-1]))

    def _scale(self, x: Tensor) -> Tensor:
        if self.scaling is None:
            return x[..., 0].long()
        if self.table is not None:
            return self.table[x.long() - torch.iinfo(x.dtype).min, torch.arange(x.shape[-1], device=x.device)]
        a, b = self.scaling.affine
        return torch.addcmul(a, x, b)


def _crop_and_mirror(x: Tensor, generator: torch.Generator) -> Tensor:
    """x: (B, side * side, C). Each image is shifted by up to 4 pixels, its border mirrored, and flipped half of the time."""
    n, length, channels = x.shape
    side = int(length**0.5)
    shift = send(torch.randint(-CROP_PADDING, CROP_PADDING + 1, (2, n, 1), generator=generator), x.device)
    flip = send(torch.randint(2, (n, 1), generator=generator).bool(), x.device)
    pixels = torch.arange(side, device=x.device)
    rows, columns = _mirror(pixels + shift[0], side), _mirror(pixels + shift[1], side)
    columns = torch.where(flip, columns.flip(1), columns)
    index = (rows[:, :, None] * side + columns[:, None, :]).reshape(n, length, 1)
    return x.gather(1, index.expand(-1, -1, channels))


def _mirror(index: Tensor, side: int) -> Tensor:
    """Index of a pixel outside: the edge pixel is repeated first (-1 is 0, side is side - 1)."""
    index = torch.where(index < 0, -1 - index, index)
    return torch.where(index >= side, 2 * side - 1 - index, index)


def bit_reversal(length: int) -> Tensor:
    """Returns the permutation that sorts 0 .. length - 1 by their bits read backwards."""
    bits = max(length - 1, 1).bit_length()
    reverse = np.zeros(length, dtype=np.int64)
    for bit in range(bits):
        reverse |= ((np.arange(length) >> bit) & 1) << (bits - 1 - bit)
    return torch.from_numpy(np.argsort(reverse))
