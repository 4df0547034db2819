"""The keys of the Mamba language model, checked; the model itself is in `mamba_lm.py`."""

from dataclasses import dataclass, replace

from ..errors import UserError, did_you_mean
from ..layers.ssm_type import SSMType


@dataclass(frozen=True)
class MambaConfig:
    """Names and defaults of the configs. `as_published` gives the code as published.

    Attributes:
        ssm_type: 'S6-Real', 'S6-Complex', 'S4D-Real' or 'S4D-Complex'.
        vocab_size, n_layers, d_model, expand, d_conv: sizes.
        d_state: real degrees of freedom of a channel's state; a complex SSM has half as many complex states.
        B_is_selective, C_is_selective, dt_is_selective: of the S6 types.
        train_embedding, tie_embedding, embedding_std: the embedding, whether it is the output map too, and its start.
        halve_state_twice: as published, S6-Complex gets a quarter of d_state instead of half.
        D_init, constant_dt: see `S6`.
        s4d_gate: False drops the gate of the S4D types, as published on a GPU.
        backend: see `selective_scan`.
    """

    ssm_type: str = "S6-Real"
    vocab_size: int = 16
    n_layers: int = 2
    d_model: int = 64
    d_state: int = 16
    expand: int = 2
    d_conv: int = 4
    B_is_selective: bool = True
    C_is_selective: bool = True
    dt_is_selective: bool = True
    dt_min: float = 0.001
    dt_max: float = 0.1
    train_embedding: bool = True
    tie_embedding: bool = True
    embedding_std: float = 1.0
    halve_state_twice: bool = False
    D_init: str = "ones"
    constant_dt: str = "softplus"
    s4d_gate: bool = True
    backend: str | None = None

    def __post_init__(self) -> None:
        names = [kind.value for kind in SSMType]
        if self.ssm_type not in names:
            raise UserError(f"unknown ssm_type '{self.ssm_type}'{did_you_mean(self.ssm_type, names)}")
        for name in ("vocab_size", "n_layers", "d_model", "d_state", "expand", "d_conv"):
            if getattr(self, name) < 1:
                raise UserError(f"{name} must be at least 1, got {getattr(self, name)}")


def as_published(config: MambaConfig) -> MambaConfig:
    """Returns the config with every choice in which the published code departs from the paper, or adds to it."""
    complex_s6 = config.ssm_type == SSMType.S6_COMPLEX.value
    return replace(
        config,
        train_embedding=False,
        halve_state_twice=True,
        D_init="normal" if complex_s6 else "ones",
        constant_dt="exp",
        s4d_gate=False,
    )
