"""The position-wise map behind an SSM: y -> v = dropout(act(y)), then a gated or plain linear map of v.

| final     | output                        | S4's final_act | S5's activation |
|-----------|-------------------------------|----------------|-----------------|
| glu       | (W1 v + b1) * s(W2 v + b2)    | glu            | full_glu        |
| half_glu1 | v * s(W v + b)                |                | half_glu1       |
| half_glu2 | y * s(W v + b)                |                | half_glu2       |
| id        | W v + b                       | id             |                 |
| None      | v                             | null           | gelu            |

s is the logistic function (Dauphin et al., arXiv 1612.08083). Published S4 draws a second dropout mask before the
activation; here, as in the paper, there is one.
"""

import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import UserError, did_you_mean
from .dropout import Dropout

ACTIVATIONS = {"gelu": nn.GELU, "relu": nn.ReLU, "silu": nn.SiLU, "tanh": nn.Tanh, "id": nn.Identity, None: nn.Identity}
FINALS = ("glu", "half_glu1", "half_glu2", "id", None)


class Mixer(nn.Module):
    """See the table above.

    Args:
        d_input: channels of y.
        d_output: channels of the output; the half gates and None need d_output = d_input.
        activation: a name in `ACTIVATIONS`.
        final: a name in `FINALS`.
        dropout, tie_dropout: see `Dropout`.
    """

    def __init__(
        self,
        d_input: int,
        d_output: int,
        activation: str | None = "gelu",
        final: str | None = "glu",
        dropout: float = 0.0,
        tie_dropout: bool = False,
    ):
        super().__init__()
        if activation not in ACTIVATIONS:
            raise UserError(f"unknown activation '{activation}'{did_you_mean(activation, map(str, ACTIVATIONS))}")
        if final not in FINALS:
            raise UserError(f"unknown final_act '{final}'{did_you_mean(final, map(str, FINALS))}")
        if d_input != d_output and final not in ("glu", "id"):
            raise UserError(f"final_act '{final}' keeps the number of channels, got {d_input} and {d_output}")
        self.final = final
        self.activation = ACTIVATIONS[activation]()
        self.dropout = Dropout(dropout, tie_dropout)
        self.linear = None if final is None else nn.Linear(d_input, d_output * (2 if final == "glu" else 1))

    def forward(self, y: Tensor) -> Tensor:
        """y: (B, L, d_input) or (B, d_input). Returns the same with d_output channels."""
        v = self.dropout(self.activation(y))
        if self.linear is None:
            return v
        gate = self.linear(v)
        if self.final == "glu":
            return F.glu(gate, dim=-1)
        return gate if self.final == "id" else (v if self.final == "half_glu1" else y) * gate.sigmoid()
