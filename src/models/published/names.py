"""Names and forms of published weights: which are missing or not expected, and what a name says of how its tensor is stored."""

from collections.abc import Mapping

from torch import Tensor, nn

from ...errors import UserError

Weights = Mapping[str, Tensor]
OPPOSITE = ("kernel.A_imag", "kernel.kernel.w_imag")  # A = -exp(.) + i (.) there, -exp(.) - i (.) here


def check_names(what: str, given: Weights, names: Mapping[str, str], optional: frozenset[str] = frozenset()) -> None:
    """Raises UserError with what is missing and what is not expected."""
    missing = [name for name in names if name not in given and name not in optional]
    unexpected = [name for name in given if name not in names]
    parts = [f"{kind}: {', '.join(some)}" for kind, some in (("missing", missing), ("unexpected", unexpected)) if some]
    if parts:
        raise UserError(f"not the weights of {what}; {'; '.join(parts)}")


def fill(module: nn.Module, values: Mapping[str, Tensor]) -> None:
    """Copies the values, which may be some of the module's; raises UserError for another shape."""
    own = module.state_dict()
    for name, value in values.items():
        if value.shape != own[name].shape:
            raise UserError(
                f"{name}: the published weights have the shape {tuple(value.shape)}, expected {tuple(own[name].shape)}"
            )
    module.load_state_dict({**own, **values})


def converted(name: str, value: Tensor) -> Tensor:
    """A published tensor in this suite's form; see the tables of the formats."""
    leaf = name.rpartition(".")[2]
    if name in OPPOSITE:
        return -value
    if leaf in ("inv_dt", "log_dt"):
        return value.reshape(-1)  # (H, 1) there
    if name in ("layer.kernel.B", "ssm_kernel.kernel.B"):
        return value.squeeze(0)  # (1, S, N, 2) there
    if name == "kernel.C":
        return value.unsqueeze(0)  # one channel
    is_convolution = name.startswith("output_linear") and value.ndim == 3  # of width one
    return value.squeeze(-1) if is_convolution else value
