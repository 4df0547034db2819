"""Which test examples a run had right: what pairs two models on the same examples (McNemar) instead of on their means."""

import contextlib
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn

from ...dataloaders.base import Batch
from ...engine import class_measures
from ...engine.tally import Measures

LABELS = ("last", "best-val")  # the weights of the final tests, in the order in which the engine takes them


class Kept:
    """The objective of the final tests, which remembers each example's verdict: a byte an example and pass.

    Give `around` to the evaluation too: it opens a pass.
    """

    def __init__(self) -> None:
        self._passes: list[list[Tensor]] = []

    def __call__(self, model: nn.Module, batch: Batch) -> Measures:
        logits = model(batch.x, lengths=batch.lengths)
        self._passes[-1].append((logits.argmax(-1) == batch.y).cpu())
        return class_measures(logits, batch.y)

    @contextlib.contextmanager
    def around(self, model: nn.Module) -> Iterator[None]:
        """Opens a pass over the test set."""
        self._passes.append([])
        yield

    def arrays(self) -> dict[str, np.ndarray]:
        """Returns {"test_right@last": bool (examples,), "test_right@best-val": ...} of the passes that were made, in data order."""
        found = zip(LABELS, self._passes, strict=False)
        return {f"test_right@{label}": torch.cat(parts).numpy() for label, parts in found if parts}
