"""An optimizer's state that goes from any form of it to any other: plain, fused (on a GPU), capturable (in a graph).

Torch saves with a group how it is computed, and loading brings that back. Here it stays the own affair of the machine that computes.
"""

from typing import Any

import torch

State = dict[str, Any]
_OF_THE_MACHINE = ("fused", "foreach", "capturable", "differentiable")


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
