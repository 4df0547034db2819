"""The state of every random generator that training may draw from (dropout, data), as plain values for a checkpoint."""

import contextlib
import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch


def seed_all(seed: int, rank: int = 0) -> None:
    """Seeds python, numpy and torch; processes of other rank draw other numbers (seed the model's weights with rank 0)."""
    python, numpy, for_torch = np.random.SeedSequence([seed, rank]).generate_state(3)
    random.seed(int(python))
    np.random.seed(int(numpy))  # noqa: NPY002 -- libraries draw from the global generator
    torch.manual_seed(int(for_torch))


def rng_state() -> dict[str, Any]:
    """Returns the state of all generators of this process."""
    kind, words, position, has_gauss, gauss = np.random.get_state()  # noqa: NPY002
    state = {
        "python": random.getstate(),
        "numpy": (kind, torch.from_numpy(words.astype(np.int64)), position, has_gauss, gauss),
        "torch": torch.get_rng_state(),
    }
    if torch.cuda.is_initialized():  # a run on the CPU makes no context on a card just to ask
        state["cuda"] = torch.cuda.get_rng_state()
    return state


def set_rng_state(state: dict[str, Any]) -> None:
    """Puts all generators back to what `rng_state` returned."""
    random.setstate(state["python"])
    kind, words, *rest = state["numpy"]
    np.random.set_state((kind, words.numpy().astype(np.uint32), *rest))  # noqa: NPY002
    torch.set_rng_state(state["torch"])
    if "cuda" in state and torch.cuda.is_initialized():
        torch.cuda.set_rng_state(state["cuda"])


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """Whatever is drawn inside, the numbers drawn afterwards are the same."""
    state = rng_state()
    try:
        yield
    finally:
        set_rng_state(state)
