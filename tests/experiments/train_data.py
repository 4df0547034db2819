"""Tiny data sets of every name, in the shapes of the real ones."""

import numpy as np
import torch

from src.dataloaders import Splits
from src.dataloaders.base import Batch, MapDataset
from src.dataloaders.load import check_options

TOKENS = {"imdb": (2, 1), "listops": (10, 1), "aan": (2, 2)}  # classes, documents


class Tiny(MapDataset):
    """n examples of at most L steps; class y is where the values or tokens lie."""

    def __init__(self, n: int, L: int, classes: int, d_input: int | None, documents: int = 1, seed: int = 0):
        rng = np.random.default_rng(seed)
        self.y = self.labels = torch.from_numpy(rng.integers(classes, size=n))
        if d_input is None:
            self.lengths = torch.from_numpy(rng.integers(2, L + 1, size=(n, documents)))
            self.x = torch.from_numpy(rng.integers(3, 9, size=(n, documents, L)))
            self.x[torch.arange(L) >= self.lengths[..., None]] = 0
        else:
            noise = torch.from_numpy(rng.standard_normal((n, L, d_input)).astype(np.float32))
            self.x, self.lengths = noise + self.y[:, None, None] / classes, None

    def __len__(self) -> int:
        return len(self.y)

    def batch(self, indices, generator=None):
        if self.lengths is None:
            return Batch(self.x[indices], self.y[indices])
        x, lengths = self.x[indices], self.lengths[indices]
        return Batch(x[:, 0], self.y[indices], lengths[:, 0]) if x.shape[1] == 1 else Batch(x, self.y[indices], lengths)


def tiny_load(name: str, **options) -> Splits:
    """`src.dataloaders.load` without files: the options are checked as there."""
    checked = check_options(name, **options)
    classes, documents = TOKENS.get(name, ({"pathfinder": 2, "pathx": 2, "sc": 35}.get(name, 10), 1))
    d_input = None if name in TOKENS else 1 if name != "cifar" or checked.grayscale else 3
    parts = [Tiny(n, 20, classes, d_input, documents, seed) for seed, n in enumerate((12, 5, 5))]
    vocabulary = ("<pad>", "<unk>", "<eos>", *"abcdef") if d_input is None else None
    return Splits(*parts, n_classes=classes, l_max=20, d_input=d_input, vocabulary=vocabulary, note="made up")
