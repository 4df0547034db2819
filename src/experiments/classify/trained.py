"""A run's model to use: its weights and its config are enough, the data need not be there."""

from pathlib import Path

from torch import nn

from ...config import load_yaml
from ...engine import load_weights, read_checkpoint, weights_in
from ...errors import UserError, did_you_mean
from .config import parse
from .model import DataShape, build_model

FILES = {"best": "best.pt", "last": "state.pt"}


def load_trained(folder: str | Path, weights: str = "best") -> nn.Module:
    """Returns the model of a run of `train.py`, on the CPU, in evaluation mode.

    A causal model streams: `logits, state = model.step(x, state, system)` takes one step x (B, d_input) or (B,) tokens and gives the
    logits (B, classes) of the prefix so far, from `state = model.default_state(B)` and `system = model.discrete()`.

    Args:
        folder: `runs/train-<experiment>/<key>`.
        weights: 'best' in validation, or 'last'; averaged ones where the run kept a moving average.

    Raises:
        UserError: no such run, or no such weights of it.
    """
    folder = Path(folder)
    if weights not in FILES:
        raise UserError(f"weights = '{weights}'{did_you_mean(weights, FILES)}")
    if not (folder / "config.yaml").is_file():
        raise UserError(
            f"{folder}: holds no run of train.py; expected runs/train-<experiment>/<key>, with its config.yaml"
        )
    plain = load_yaml(folder / "config.yaml")
    plain["train"] |= {"ckpt": None, "mode": "max"}  # what it started from is no matter, and may be gone
    config = parse({key: value for key, value in plain.items() if key != "contents"})
    found = weights_in(read_checkpoint(folder / FILES[weights]))
    model = build_model(config, DataShape.of_weights(found))
    load_weights(model, found)
    return model.eval()
