"""Optimizer groups from parameter tags: an SSM's dt, A and B need a learning rate of their own and no weight decay.

Without them S4 on sequential CIFAR-10 falls from 89 % to 66 %. A parameter says what it needs in `p._optim`, a dict with any of
"lr" and "weight_decay"; what it does not say is global. As in the published runs, biases, embeddings and the weights of normalisation
layers do not decay unless asked. Every trainable parameter is in exactly one group.

An optimizer's state goes from any form of it to any other: plain, fused (on a GPU), capturable (in a graph).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from ..errors import UserError, did_you_mean
from ..tables import Table

State = dict[str, Any]
_OF_THE_MACHINE = (
    "fused",
    "foreach",
    "capturable",
    "differentiable",
)  # torch saves them; loading must not bring them back
_TAGS = ("lr", "weight_decay")
_NORMALISATION = (nn.LayerNorm, nn.GroupNorm, nn.RMSNorm, nn.modules.batchnorm._NormBase)
_OPTIMIZERS = {"adamw": torch.optim.AdamW, "adam": torch.optim.Adam, "sgd": torch.optim.SGD}


@dataclass
class Group:
    """Parameters that share a learning rate and a weight decay."""

    lr: float
    weight_decay: float
    parameters: dict[str, nn.Parameter] = field(default_factory=dict)


def parameter_groups(
    model: nn.Module,
    lr: float,
    weight_decay: float = 0.0,
    *,
    bias_weight_decay: bool = False,
    normalization_weight_decay: bool = False,
) -> list[Group]:
    """Returns the groups, the one at the global rate and decay first.

    A parameter tagged with learning rate 0 is frozen: it gets no gradient and is in no group.

    Raises:
        ValueError: a tag that is unknown or negative, or a complex parameter.
        UserError: a negative rate or decay, or a model with nothing to train.
    """
    if not (lr > 0 and weight_decay >= 0):
        raise UserError(
            f"optimizer: expected lr > 0 and weight_decay >= 0, got lr={lr} and weight_decay={weight_decay}"
        )
    groups = {(lr, weight_decay): Group(lr, weight_decay)}
    for name, parameter, module in _owned_parameters(model):
        own_lr, own_decay = lr, weight_decay
        is_bias = name.rpartition(".")[2] == "bias"
        if (is_bias and not bias_weight_decay) or isinstance(module, nn.Embedding):
            own_decay = 0.0
        if isinstance(module, _NORMALISATION) and not is_bias and not normalization_weight_decay:
            own_decay = 0.0
        tags = _tags(name, parameter)
        own_lr, own_decay = tags.get("lr", own_lr), tags.get("weight_decay", own_decay)
        if own_lr == 0:
            parameter.requires_grad_(False)
        if parameter.requires_grad:
            groups.setdefault((own_lr, own_decay), Group(own_lr, own_decay)).parameters[name] = parameter
    filled = [group for group in groups.values() if group.parameters]
    if not filled:
        raise UserError("the model has no trainable parameter; set a learning rate above 0 for at least one")
    return filled


def _owned_parameters(model: nn.Module) -> Iterator[tuple[str, nn.Parameter, nn.Module]]:
    """Each parameter once, under its first name, with the module that holds it."""
    seen = set()
    for prefix, module in model.named_modules():
        for name, parameter in module.named_parameters(recurse=False):
            if parameter not in seen:
                seen.add(parameter)
                yield (f"{prefix}.{name}" if prefix else name), parameter, module


def _tags(name: str, parameter: nn.Parameter) -> dict[str, float]:
    if parameter.is_complex():
        raise ValueError(f"parameter '{name}' is complex; store it as real pairs")
    tags = getattr(parameter, "_optim", {})
    for tag, value in tags.items():
        if tag not in _TAGS:
            raise ValueError(f"parameter '{name}' has an unknown optimizer tag '{tag}'{did_you_mean(tag, _TAGS)}")
        if not value >= 0:
            raise ValueError(f"parameter '{name}': optimizer tag {tag}={value!r} must be at least 0")
    return tags


def make_optimizer(name: str, groups: list[Group], **options: Any) -> torch.optim.Optimizer:
    """Returns "adamw", "adam" or "sgd" over the groups; `options` are its own keywords (betas, eps, momentum, ...).

    On a GPU it is torch's fused form: one kernel for many tensors, its counters on the device. Each torch group keeps its own rate in
    "initial_lr", which schedules scale.

    Raises:
        UserError: an unknown optimizer, or an option that it does not have.
    """
    if name not in _OPTIMIZERS:
        raise UserError(f"unknown optimizer '{name}'{did_you_mean(name, _OPTIMIZERS)}")
    if all(p.is_cuda for group in groups for p in group.parameters.values()):
        options.setdefault("fused", True)
    if "betas" in options:
        options["betas"] = tuple(options["betas"])
    torch_groups = [
        {
            "params": list(group.parameters.values()),
            "lr": group.lr,
            "initial_lr": group.lr,
            "weight_decay": group.weight_decay,
        }
        for group in groups
    ]
    try:
        return _OPTIMIZERS[name](torch_groups, lr=groups[0].lr, **options)
    except (TypeError, ValueError) as error:
        raise UserError(f"optimizer {name}: {error}") from None


def optimizer_state(optimizer: torch.optim.Optimizer) -> State:
    """Returns its state with learning rates as numbers."""
    state = optimizer.state_dict()
    return {**state, "param_groups": [{**group, "lr": float(group["lr"])} for group in state["param_groups"]]}


def load_optimizer_state(optimizer: torch.optim.Optimizer, state: State) -> None:
    """Continues from what `optimizer_state` returned, computing as `optimizer` did before.

    Raises:
        ValueError: the groups are not the optimizer's.
    """
    pairs = zip(state["param_groups"], optimizer.param_groups, strict=True)
    groups = [saved | {key: own[key] for key in _OF_THE_MACHINE if key in own} for saved, own in pairs]
    optimizer.load_state_dict({**state, "param_groups": groups})


def make_capturable(optimizer: torch.optim.Optimizer) -> None:
    """Moves the learning rates to the device: as numbers they would stay in a graph what they were when it was captured."""
    for group in optimizer.param_groups:
        group["lr"] = torch.tensor(float(group["lr"]), device=group["params"][0].device)
        if "capturable" in group:
            group["capturable"] = True


def group_table(model: nn.Module, groups: list[Group]) -> str:
    """Returns the table that a run prints: name pattern (layer numbers as *), tensors, numbers, lr, weight decay, dtype."""
    rows: dict[tuple[str, ...], list[int]] = {}
    for group in groups:
        for name, parameter in group.parameters.items():
            _count(rows, name, parameter, f"{group.lr:g}", f"{group.weight_decay:g}")
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            _count(rows, name, parameter, "frozen", "-")
    columns = ("parameter", "tensors", "numbers", "lr", "weight decay", "dtype")
    lines = [(pattern, n, size, lr, decay, dtype) for (pattern, lr, decay, dtype), (n, size) in rows.items()]
    return Table(columns, lines).text(full=True)


def _count(rows: dict[tuple[str, ...], list[int]], name: str, parameter: nn.Parameter, lr: str, decay: str) -> None:
    pattern = re.sub(r"(?<=\.)\d+(?=\.)|^\d+(?=\.)", "*", name)
    row = rows.setdefault((pattern, lr, decay, str(parameter.dtype).removeprefix("torch.")), [0, 0])
    row[0] += 1
    row[1] += parameter.numel()
