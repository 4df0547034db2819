"""A state dict or a file of one -> a module, by the names that it holds."""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from ...errors import UserError
from .mamba import language_model
from .names import Weights
from .s4 import s4_block


def load_published(
    weights: Weights | str | Path,
    prefix: str = "",
    *,
    dt_transform: str = "exp",
    disc: str | None = None,
    activation: str | None = "gelu",
    s4d_gate: bool = True,
) -> nn.Module:
    """Returns published weights as a module of this suite, float32 and in evaluation mode; sizes and kind are read from the weights.

    S4 and S4D layers become an `S4Block`, from (B, L, H) to (B, L, H); Mamba language models (those of P2's code, of mamba.py and of
    mamba-ssm) a `MambaLM`, from tokens (B, L) to logits (B, L, V). Both have `step`.

    Args:
        weights: a state dict, or a file that `torch.save` made of one (or of a mapping with it under 'state_dict' or 'model').
        prefix: of the names that belong to the layer: 'model.layers.0.layer.' is the first layer of a whole state-spaces model.
        dt_transform: of S4: 'exp', the default of s4.py, or 'softplus', that of the v4 experiments' configs. The weights do not tell.
        disc: of S4; None is as published, 'bilinear' for S4 and 'zoh' for S4D.
        activation: of S4, between the SSM and the output map.
        s4d_gate: of P2's S4D types: False is how its GPU code ran.

    Raises:
        UserError: no such file, or missing, unexpected or misshapen weights; the line names them.
    """
    held = _read(weights)
    own = {name.removeprefix(prefix): tensor for name, tensor in held.items() if name.startswith(prefix)}
    if not own:
        raise UserError(f"no weight has the prefix '{prefix}'; the names begin {', '.join(list(held)[:3])}")
    if any(name.endswith("in_proj.weight") for name in own):
        return language_model(own, s4d_gate).eval()
    return s4_block(own, dt_transform, disc, activation).eval()


def _read(weights: Weights | str | Path) -> dict[str, Tensor]:
    if not isinstance(weights, Mapping):
        path = Path(weights)
        if not path.is_file():
            raise UserError(f"{path}: no such file")
        try:
            weights = torch.load(path, map_location="cpu", weights_only=True)
        except Exception:  # torch raises many types for foreign files
            raise UserError(f"{path}: no file of tensors that torch can load without running code") from None
    for key in ("state_dict", "model"):
        weights = weights[key] if isinstance(weights, Mapping) and isinstance(weights.get(key), Mapping) else weights
    if not isinstance(weights, Mapping) or not all(isinstance(value, Tensor) for value in weights.values()):
        raise UserError("expected a state dict: names and tensors")
    return {name: tensor.detach().cpu() for name, tensor in weights.items()}
