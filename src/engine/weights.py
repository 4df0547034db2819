"""Weights out of checkpoints and into models."""

from typing import Any

from torch import Tensor, nn

from src.errors import UserError

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
