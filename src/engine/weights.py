"""Weights: out of checkpoints, into models, and their moving average w_ema <- decay w_ema + (1 - decay) w after every step."""

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import UserError

State = dict[str, Any]


def weights_in(state: State) -> dict[str, Tensor]:
    """Returns the weights to evaluate from the state of a run, last or best: averaged where there is a moving average."""
    return state["model"] | state.get("ema", {})


def load_weights(model: nn.Module, weights: dict[str, Tensor]) -> None:
    """Copies `weights` into the model.

    Raises:
        UserError: they are another model's; the line names what differs.
    """
    own = model.state_dict()
    missing, unknown = sorted(own.keys() - weights.keys()), sorted(weights.keys() - own.keys())
    shapes = [
        f"{name} is {tuple(weights[name].shape)} in the file and {tuple(own[name].shape)} in the model"
        for name in own.keys() & weights.keys()
        if own[name].shape != weights[name].shape
    ]
    differences = [
        f"{len(names)} {what} ({', '.join(names[:3])})"
        for what, names in (("missing", missing), ("unknown", unknown), ("of another shape", sorted(shapes)))
        if names
    ]
    if differences:
        raise UserError(f"the checkpoint is of another model: {'; '.join(differences)}")
    model.load_state_dict(weights)


class Ema:
    """Averages the trainable parameters; buffers such as running statistics are those of the model itself.

    Args:
        decay: in [0, 1); 0 averages nothing.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        if not 0 <= decay < 1:
            raise ValueError(f"decay of the moving average must be in [0, 1), got {decay}")
        self.decay = decay
        self._trained = {name: p for name, p in model.named_parameters() if p.requires_grad} if decay else {}
        self._average = {name: p.detach().clone() for name, p in self._trained.items()}

    @torch.no_grad()
    def update(self) -> None:
        if self._average:
            torch._foreach_lerp_(list(self._average.values()), list(self._trained.values()), 1 - self.decay)

    @contextlib.contextmanager
    def applied(self) -> Iterator[None]:
        """Puts the averages into the model for as long as the context lasts."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    @torch.no_grad()
    def _swap(self) -> None:
        for name, parameter in self._trained.items():
            parameter.data, self._average[name] = self._average[name], parameter.data

    def state_dict(self) -> dict[str, Tensor]:
        return dict(self._average)

    @torch.no_grad()
    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        if state.keys() != self._average.keys():
            raise ValueError("the checkpoint's moving averages are of other parameters")
        for name, average in self._average.items():
            average.copy_(state[name])
