"""Which test examples a run had right: what pairs two models on the same examples (McNemar) instead of on their means."""

import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import numpy as np
import torch
from torch import nn

from ...dataloaders.base import Batch
from ...engine import class_measures
from ...engine.tally import Measures

LABELS = ("last", "best-val")  # the weights of the final tests, in the order in which the engine takes them


class Kept:
    """The objective of the final tests, which remembers each example's verdict: a byte an example and pass.

    Give `around` to the evaluation too: it opens a pass.

    Args:
        context: makes of the model what it is evaluated in, for example hooks that add noise.
    """

    def __init__(self, context: Callable[[nn.Module], AbstractContextManager]) -> None:
        self._context, self._passes = context, []

    def __call__(self, model: nn.Module, batch: Batch) -> Measures:
        logits = model(batch.x, lengths=batch.lengths)
        self._passes[-1].append((logits.argmax(-1) == batch.y).cpu())
        return class_measures(logits, batch.y)

    @contextlib.contextmanager
    def around(self, model: nn.Module) -> Iterator[None]:
        """Opens a pass over the test set."""
        self._passes.append([])
        with self._context(model):
            yield

    def arrays(self, name: str) -> dict[str, np.ndarray]:
        """Returns {"<name>_right@last": bool (examples,), "<name>_right@best-val": ...} of the passes that were made, in data order."""
        found = zip(LABELS, self._passes, strict=False)
        return {f"{name}_right@{label}": torch.cat(parts).numpy() for label, parts in found if parts}
