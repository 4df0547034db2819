"""Weights of published S4, S4D and Mamba code (arXiv 2111.00396, 2206.11893, 2312.00752, 2410.14067) as modules of this suite.

A format is a table of names: published -> ours. What is stored in another form there is converted by name. Formats are told apart
by their names alone; docs/library.md shows the tables. In all of them a complex tensor is real pairs (..., 2), as here.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ..errors import UserError
from ..kernels import DiagonalKernel, DPLRKernel, Kernel, RealDiagonalKernel
from ..layers import S4Block
from .mamba_lm import MambaConfig, MambaLM

Weights = Mapping[str, Tensor]


class Format(NamedTuple):
    """One published layout.

    Attributes:
        names: published -> ours.
        optional: published names that may be missing.
    """

    names: dict[str, str]
    optional: frozenset[str] = frozenset()

    def unlike(self, weights: Weights) -> int:
        """Returns how many names differ, by which the nearest format is found."""
        return len(set(self.names) - set(weights) - self.optional) + len(set(weights) - set(self.names))


_MIX = {"output_linear.0.weight": "mixer.linear.weight", "output_linear.0.bias": "mixer.linear.bias"}
_S4D = {
    "layer.D": "D",
    **{f"layer.kernel.{name}": f"kernel.{name}" for name in ("inv_dt", "A_real", "A_imag", "B", "C")},
    **_MIX,
}
S4_FORMATS = {
    "S4 (models/s4/s4.py, mode dplr; state-spaces v4)": Format(
        {**_S4D, "layer.kernel.P": "kernel.P", "layer.kernel.l_kernel": "-"}, frozenset(_MIX)
    ),
    "S4D (models/s4/s4.py, mode diag; state-spaces v4)": Format(_S4D, frozenset({*_MIX, "layer.kernel.A_imag"})),
    "S4D (models/s4/s4d.py)": Format(
        {
            "D": "D",
            "kernel.log_dt": "kernel.inv_dt",
            "kernel.log_A_real": "kernel.A_real",
            "kernel.A_imag": "kernel.A_imag",
            "kernel.C": "kernel.C",
            **_MIX,
        }
    ),
    "S4 (state-spaces v3)": Format(
        {
            "D": "D",
            "kernel.kernel.log_dt": "kernel.inv_dt",
            "kernel.kernel.inv_w_real": "kernel.A_real",
            "kernel.kernel.w_imag": "kernel.A_imag",
            **{f"kernel.kernel.{name}": f"kernel.{name}" for name in ("B", "C", "P")},
            "kernel.kernel.L": "-",
            **_MIX,
        },
        frozenset(_MIX),
    ),
}
LENGTHS = ("layer.kernel.l_kernel", "kernel.kernel.L")  # L where C is stored as C (1 - Abar^L)
OPPOSITE = ("kernel.A_imag", "kernel.kernel.w_imag")  # A = -exp(.) + i (.) there, -exp(.) - i (.) here


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
        return _language_model(own, s4d_gate).eval()
    return _s4(own, dt_transform, disc, activation).eval()


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


def _check_names(what: str, given: Weights, names: Mapping[str, str], optional: frozenset[str] = frozenset()) -> None:
    missing = [name for name in names if name not in given and name not in optional]
    unexpected = [name for name in given if name not in names]
    parts = [f"{kind}: {', '.join(some)}" for kind, some in (("missing", missing), ("unexpected", unexpected)) if some]
    if parts:
        raise UserError(f"not the weights of {what}; {'; '.join(parts)}")


def _fill(module: nn.Module, values: Mapping[str, Tensor]) -> None:
    own = module.state_dict()
    for name, value in values.items():
        if value.shape != own[name].shape:
            raise UserError(
                f"{name}: the published weights have the shape {tuple(value.shape)}, expected {tuple(own[name].shape)}"
            )
    module.load_state_dict({**own, **values})


# --- S4 ---


def _s4(weights: Weights, dt_transform: str, disc: str | None, activation: str | None) -> S4Block:
    name, format = min(S4_FORMATS.items(), key=lambda item: item[1].unlike(weights))
    _check_names(name, weights, format.names, format.optional)
    length = next((int(weights[key]) for key in LENGTHS if key in weights), 0)
    values = {
        ours: _converted(key, weights[key]) for key, ours in format.names.items() if key in weights and ours != "-"
    }
    D = values["D"] = values["D"].reshape(-1, values["D"].shape[-1])
    kernel = _kernel(values, dt_transform, disc)
    both = kernel.channels == 2 * len(D)
    final = _final_act(values.get("mixer.linear.weight"), kernel.H)
    block = S4Block(kernel, bidirectional=both, activation=activation, final_act=final)
    _fill(block, values)
    if length:
        with torch.no_grad():
            _undo_truncation(kernel, length)
    return block


def _converted(name: str, value: Tensor) -> Tensor:
    """A published tensor in this suite's form; see the tables of the formats."""
    leaf = name.rpartition(".")[2]
    if name in OPPOSITE:
        return -value
    if leaf in ("inv_dt", "log_dt"):
        return value.reshape(-1)  # (H, 1) there
    if leaf == "B":
        return value.squeeze(0) if value.ndim > 2 and len(value) == 1 else value  # (1, S, N, 2) there
    if name == "kernel.C":
        return value.unsqueeze(0)  # one channel
    return (
        value.squeeze(-1) if name.startswith("output_linear") and value.ndim == 3 else value
    )  # a convolution of width one


def _kernel(values: dict[str, Tensor], dt_transform: str, disc: str | None) -> Kernel:
    """The kernel of the weights' sizes; `values` are completed where a format has a tensor fixed."""
    A, C = values["kernel.A_real"], values["kernel.C"]
    options = {"channels": len(C), "n_ssm": len(A), "dt_transform": dt_transform}
    H, N = C.shape[1], A.shape[-1]
    if "kernel.A_imag" not in values:
        values["kernel.C"] = 2 * C  # the published real kernel is twice the real part, too
        return RealDiagonalKernel(H, N, disc=disc or "zoh", **options)
    if "kernel.P" in values:
        return DPLRKernel(H, 2 * N, rank=len(values["kernel.P"]), disc=disc or "bilinear", **options)
    values.setdefault("kernel.B", torch.stack([torch.ones_like(A), torch.zeros_like(A)], -1))
    return DiagonalKernel(H, 2 * N, init="diag-lin", disc=disc or "zoh", **options)


def _final_act(weight: Tensor | None, H: int) -> str | None:
    if weight is None:
        return None
    return "glu" if len(weight) == 2 * H else "id"


def _undo_truncation(kernel: DPLRKernel, L: int) -> None:
    """C~ = C (1 - Abar^L), in which the published kernel is stored, back to C: exact, in float64."""
    A, _, rows = kernel._matrices(1.0)  # (H, n, n), (H, C, n) in real coordinates: 2 (Re c, -Im c)
    power = torch.linalg.matrix_power(A, L)
    rows = torch.linalg.solve(torch.eye(A.shape[-1], dtype=A.dtype) - power, rows, left=False)
    re, im = rows.transpose(0, 1).chunk(2, -1)
    kernel.C.copy_(torch.stack([re, -im], -1) / 2)


# --- Mamba ---

_BLOCK = {
    "in_proj.weight": "in_proj.weight",
    "out_proj.weight": "out_proj.weight",
    "conv1d.weight": "conv_weight",
    "conv1d.bias": "conv_bias",
}
_MODELS = {  # published names around the blocks, by the code that they are of
    "MambaLM": {"layers": "mamba.layers", "embedding": "embedding.weight", "norm": "norm_f.weight"},
    "mamba-ssm": {
        "layers": "backbone.layers",
        "embedding": "backbone.embedding.weight",
        "norm": "backbone.norm_f.weight",
    },
}
HEAD = "lm_head.weight"


class _Parts(NamedTuple):
    """What a block's names say of its SSM: the names that it has, and how they become ours."""

    names: tuple[str, ...]
    unused: tuple[str, ...]
    convert: Callable[[Weights], dict[str, Tensor]]
    config: dict[str, Any]


def _language_model(weights: Weights, s4d_gate: bool) -> MambaLM:
    around = _MODELS["mamba-ssm" if any(name.startswith("backbone.") for name in weights) else "MambaLM"]
    numbers = {
        name[len(around["layers"]) + 1 :].partition(".")[0]
        for name in weights
        if name.startswith(f"{around['layers']}.")
    }
    layers = sorted(int(number) for number in numbers if number.isdigit())
    if not layers:
        raise UserError(f"no weight begins {around['layers']}.; a Mamba model has its blocks there")
    blocks = [f"{around['layers']}.{i}.mixer." for i in range(layers[-1] + 1)]
    parts = _parts(
        {name.removeprefix(blocks[0]): tensor for name, tensor in weights.items() if name.startswith(blocks[0])}
    )
    names = {around["embedding"]: "", around["norm"]: "", HEAD: ""}
    for i, block in enumerate(blocks):
        names |= {f"{block}{name}": "" for name in (*_BLOCK, *parts.names, *parts.unused)}
        names[f"{around['layers']}.{i}.norm.weight"] = ""
    unused = frozenset({HEAD, *(f"{block}{name}" for block in blocks for name in parts.unused)})
    _check_names("a Mamba language model", weights, names, unused)
    return _filled(weights, around, blocks, parts, s4d_gate)


def _filled(weights: Weights, around: Mapping[str, str], blocks: list[str], parts: _Parts, s4d_gate: bool) -> MambaLM:
    embedding, conv = weights[around["embedding"]], weights[f"{blocks[0]}conv1d.weight"]
    head = weights.get(HEAD, embedding)
    tied = head.shape == embedding.shape and torch.equal(head, embedding)
    sizes = {
        "vocab_size": len(embedding),
        "d_model": embedding.shape[1],
        "n_layers": len(blocks),
        "d_conv": conv.shape[-1],
    }
    config = MambaConfig(
        **sizes, expand=len(conv) // embedding.shape[1], tie_embedding=tied, s4d_gate=s4d_gate, **parts.config
    )
    model = MambaLM(config)
    values = {"embedding.weight": embedding, "norm.weight": weights[around["norm"]]}
    if not tied:
        values["head.weight"] = head
    for i, block in enumerate(blocks):
        own = {name.removeprefix(block): tensor for name, tensor in weights.items() if name.startswith(block)}
        made = {ours: own[name] for name, ours in _BLOCK.items()}
        made["conv_weight"] = made["conv_weight"].squeeze(1).T.contiguous()  # (D, 1, K) there
        made |= {f"ssm.{name}": tensor for name, tensor in parts.convert(own).items()}
        values |= {f"blocks.{i}.layer.{name}": tensor for name, tensor in made.items()}
        values[f"blocks.{i}.norm.weight"] = weights[f"{around['layers']}.{i}.norm.weight"]
    _fill(model, values)
    return model


def _parts(block: Weights) -> _Parts:
    """Reads from one block's names which SSM it holds."""
    if any(name.startswith("ssm_kernel.") for name in block):
        return _s4d_parts("ssm_kernel.kernel.A_imag" in block, block)
    if "x_proj.weight" in block:
        return _Parts(
            ("x_proj.weight", "dt_proj.weight", "dt_proj.bias", "A_log", "D"),
            (),
            _fused_s6,
            {"ssm_type": "S6-Real", **_state(block)},
        )
    return _s6_parts("log_A_real" in block, block)


def _state(block: Weights) -> dict[str, int]:
    return {"d_state": block["A_log"].shape[-1] if "A_log" in block else 1}


def _fused_s6(block: Weights) -> dict[str, Tensor]:
    """mamba.py and mamba-ssm: one matrix for (dt, B, C), as here."""
    return {
        "x_proj.weight": block["x_proj.weight"],
        "dt_weight": block["dt_proj.weight"],
        "inv_dt": block["dt_proj.bias"],
        "A_log": block["A_log"],
        "D": block["D"],
    }


def _s6_parts(over_complex: bool, block: Weights) -> _Parts:
    """P2's code: a matrix for each of dt, B and C, twice for complex B and C; a constant one is its bias, with weights of zero."""
    planes = ("real_", "imag_") if over_complex else ("",)
    of = lambda name: [f"x_proj_{plane}{name}" for plane in planes]
    selective = {name: f"{of(name)[0]}.bias" not in block for name in "BC"} | {"dt": "inv_dt" not in block}
    names = ["log_A_real", "A_imag", "D"] if over_complex else ["A_log", "D"]
    names += [f"{x}.weight" for name in "BC" for x in of(name)]
    names += [f"{x}.bias" for name in "BC" for x in of(name) if not selective[name]]
    names += ["dt_proj.weight", "dt_proj.bias", "x_proj_dt.weight"] if selective["dt"] else ["inv_dt"]
    unused = () if selective["dt"] else ("dt_proj.weight", "dt_proj.bias", "x_proj_dt.weight")
    decay = block.get(names[0])
    config = {f"{name}_is_selective": value for name, value in selective.items()}
    config |= {"ssm_type": "S6-Complex" if over_complex else "S6-Real", "constant_dt": "exp"}
    config["d_state"] = len(planes) * (1 if decay is None else decay.shape[-1])
    return _Parts(tuple(names), unused, lambda block: _split_s6(block, of, selective), config)


def _split_s6(block: Weights, of: Callable[[str], list[str]], selective: Mapping[str, bool]) -> dict[str, Tensor]:
    made = {"D": block["D"], "A_log": block["A_log"] if "A_log" in block else block["log_A_real"]}
    made |= {"A_imag": block["A_imag"]} if "A_imag" in block else {}
    rows = [block["x_proj_dt.weight"]] if selective["dt"] else []
    for name in "BC":
        signs = (1, -1) if name == "C" else (1, 1)  # C = C_real - i C_imag there
        planes = [
            sign * block[f"{x}.{'weight' if selective[name] else 'bias'}"]
            for sign, x in zip(signs, of(name), strict=False)
        ]
        if selective[name]:
            rows.append(torch.stack(planes, 1).flatten(0, 1))  # real and imaginary rows of a state next to each other
        else:
            made[name] = torch.stack([plane.reshape(len(block["D"]), -1) for plane in planes], -1)
    if rows:
        made["x_proj.weight"] = torch.cat(rows)
    if selective["dt"]:
        return made | {"dt_weight": block["dt_proj.weight"], "inv_dt": block["dt_proj.bias"]}
    return made | {"inv_dt": block["inv_dt"]}


def _s4d_parts(over_complex: bool, block: Weights) -> _Parts:
    """P2's S4D types: s4.py's convolution in S6's place."""
    leaves = ("inv_dt", "A_real", *(("A_imag",) if over_complex else ()), "B", "C")
    names = ("ssm_kernel.D", *(f"ssm_kernel.kernel.{leaf}" for leaf in leaves))
    A = block.get("ssm_kernel.kernel.A_real")
    config = {
        "ssm_type": "S4D-Complex" if over_complex else "S4D-Real",
        "d_state": (2 if over_complex else 1) * (1 if A is None else A.shape[-1]),
    }

    def convert(block: Weights) -> dict[str, Tensor]:
        made = {
            f"kernel.{leaf}": _converted(f"ssm_kernel.kernel.{leaf}", block[f"ssm_kernel.kernel.{leaf}"])
            for leaf in leaves
        }
        dt = made["kernel.inv_dt"].double().exp()
        made["kernel.inv_dt"] = dt.expm1().log().float()  # stored as its logarithm there, through softplus here
        made["kernel.C"] = made["kernel.C"] if over_complex else 2 * made["kernel.C"]
        return made | {"D": block["ssm_kernel.D"].squeeze(0)}

    return _Parts(names, (), convert, config)
