"""A run's model to use: its weights and its config are enough, the data need not be there."""

import warnings
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor, nn

from ...config import load_yaml
from ...config.own_code import TARGET
from ...engine import load_weights, weights_in
from ...errors import UserError, did_you_mean
from ...tracking.checkpoint import read_checkpoint
from .config import TrainConfig, parse
from .model import DataShape, build_model
from .own import named_in

FILES = {"best": "best.pt", "last": "state.pt"}


def load_trained(folder: str | Path, weights: str = "best", trust: bool = False) -> nn.Module:
    """Returns the model of a run of `train.py`, on the CPU, in evaluation mode.

    A causal model streams: `logits, state = model.step(x, state, system)` takes one step x (B, d_input) or (B,) tokens and gives the
    logits (B, classes) of the prefix so far, from `state = model.default_state(B)` and `system = model.discrete()`.

    Args:
        folder: `runs/train-<experiment>/<key>`.
        weights: 'best' in validation, or 'last'; averaged ones where the run kept a moving average.
        trust: run the layer, kernel or task of the user's that the folder names, which is code, from wherever Python finds it.

    Raises:
        UserError: no such run, no such weights of it, or one that names code and is not trusted.
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
    named = named_in(plain)
    if named and not trust:
        raise UserError(
            f"{folder} names code, {' and '.join(named)}, that would be run; if you trust it: load_trained(..., trust=True), or --trust"
        )
    config = parse({key: value for key, value in plain.items() if key != "contents"})
    _warn_of_changes(config, plain.get("contents") or {})
    found = _weights(folder, weights)
    model = build_model(config, DataShape.of_weights(found))
    load_weights(model, found)
    return model.eval()


def _weights(folder: Path, weights: str) -> dict[str, Tensor]:
    path, others = folder / FILES[weights], [name for name, file in FILES.items() if (folder / file).is_file()]
    if not path.is_file() and others:
        raise UserError(f"{folder} has no {weights} weights yet; it has weights='{others[0]}' (--weights {others[0]})")
    if not path.is_file():
        raise UserError(f"{folder} has no weights yet: the run has not saved its state")
    return weights_in(read_checkpoint(path))


def _warn_of_changes(config: TrainConfig, planned: Mapping[str, str]) -> None:
    """Own code that is not what it was: its weights may fit and mean something else."""
    found = config.plain.get("contents", {})
    for code in config.own_code:
        key = f"{code.where}.{TARGET}"
        if found.get(key) != planned.get(key):
            warnings.warn(f"{code.module} has changed since this run was made", stacklevel=3)
