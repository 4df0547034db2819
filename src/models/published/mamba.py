"""Mamba language models of P2's code, of mamba.py and of mamba-ssm: published weights as a `MambaLM`."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ...errors import UserError
from ..mamba_lm import MambaConfig, MambaLM
from .names import Weights, check_names, converted, fill

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


def language_model(weights: Weights, s4d_gate: bool) -> MambaLM:
    """Returns the model of a whole state dict, whose sizes and kind its names and shapes say.

    Raises:
        UserError: missing, unexpected or misshapen weights.
    """
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
    check_names("a Mamba language model", weights, names, unused)
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
    fill(model, values)
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
            _check_constant(block, of(name))
            made[name] = torch.stack([plane.reshape(len(block["D"]), -1) for plane in planes], -1)
    if rows:
        made["x_proj.weight"] = torch.cat(rows)
    if selective["dt"]:
        return made | {"dt_weight": block["dt_proj.weight"], "inv_dt": block["dt_proj.bias"]}
    return made | {"inv_dt": block["inv_dt"]}


def _check_constant(block: Weights, names: list[str]) -> None:
    """Raises UserError where a constant B or C has weights beside its bias, which the published code keeps at zero."""
    for name in names:
        if block[f"{name}.weight"].any():
            raise UserError(f"{name}.weight is not zero, and {name}.bias says that it is constant")


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
            f"kernel.{leaf}": converted(f"ssm_kernel.kernel.{leaf}", block[f"ssm_kernel.kernel.{leaf}"])
            for leaf in leaves
        }
        dt = made["kernel.inv_dt"].double().exp()
        made["kernel.inv_dt"] = dt.expm1().log().float()  # stored as its logarithm there, through softplus here
        made["kernel.C"] = made["kernel.C"] if over_complex else 2 * made["kernel.C"]
        return made | {"D": block["ssm_kernel.D"].squeeze(0)}

    return _Parts(names, (), convert, config)
