"""All that a training run is at one moment; what is not in here is a function of the config and of the step."""

import contextlib
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..errors import UserError
from . import distributed
from .optim import load_optimizer_state, optimizer_state
from .schedule import Constant, Schedule
from .tally import Tally
from .weights import Ema, load_weights

_PLAIN = ("step", "epoch", "batch", "finished", "best", "best_epoch", "row")


@dataclass
class TrainState:
    """The state that `fit` advances.

    Attributes:
        step: updates done.
        epoch: epochs done.
        batch: batches of the running epoch done, in this process.
        finished: training is over; only the final tests are left.
        best, best_epoch: the best value of the monitored metric and its epoch (counted from 1).
        row: what was logged at the end of the last epoch.
        window, epoch_tally: training metrics since the last row of steps, and since the start of the epoch.
    """

    model: nn.Module
    optimizer: torch.optim.Optimizer
    schedule: Schedule = field(default_factory=Constant)
    ema: Ema | None = None
    scaler: torch.amp.GradScaler | None = None
    step: int = 0
    epoch: int = 0
    batch: int = 0
    finished: bool = False
    best: float | None = None
    best_epoch: int | None = None
    row: dict[str, float] = field(default_factory=dict)
    window: Tally = field(default_factory=Tally)
    epoch_tally: Tally = field(default_factory=Tally)

    def set_rates(self) -> float:
        """Sets the learning rate of every group for the coming step; returns the first group's."""
        t = self.step if self.schedule.interval == "step" else self.epoch
        groups = self.optimizer.param_groups
        rates = [self.schedule.rate(group["initial_lr"], t) for group in groups]
        for group, rate in zip(groups, rates, strict=True):
            if isinstance(group["lr"], Tensor):
                group["lr"].fill_(rate)  # where a captured step reads it
            else:
                group["lr"] = rate
        return rates[0]

    def weights(self) -> dict[str, Tensor]:
        """Returns a copy of what is evaluated: the model's tensors, averaged where there is a moving average."""
        averages = self.ema.state_dict() if self.ema else {}
        return {name: tensor.detach().clone() for name, tensor in (self.model.state_dict() | averages).items()}

    def state_dict(self) -> dict[str, Any]:
        """Returns tensors and plain values; every process must ask, as each has its own random state."""
        return {
            **{name: getattr(self, name) for name in _PLAIN},
            "model": self.model.state_dict(),
            "optimizer": optimizer_state(self.optimizer),
            "schedule": self.schedule.state_dict(),
            "ema": self.ema.state_dict() if self.ema else {},
            "scaler": self.scaler.state_dict() if self.scaler else {},
            "processes": distributed.gather(self._of_this_process()),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continues from what `state_dict` returned.

        Raises:
            UserError: another model's state, or one written by another number of processes.
        """
        processes = state["processes"]
        if len(processes) != distributed.world_size():
            raise UserError(
                f"the checkpoint was written by {len(processes)} processes and this run has {distributed.world_size()}; "
                f"start as many as before"
            )
        load_weights(self.model, state["model"])
        load_optimizer_state(self.optimizer, state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        if self.ema:
            self.ema.load_state_dict(state["ema"])
        if self.scaler:
            self.scaler.load_state_dict(state["scaler"])
        for name in _PLAIN:
            setattr(self, name, state[name])
        own = processes[distributed.rank()]
        device = next(self.model.parameters()).device
        self.window.load_state_dict(own["window"], device)
        self.epoch_tally.load_state_dict(own["epoch_tally"], device)
        set_rng_state(own["rng"])

    def _of_this_process(self) -> dict[str, Any]:
        return {
            "rng": rng_state(),
            "window": self.window.state_dict(),
            "epoch_tally": self.epoch_tally.state_dict(),
        }


# --- random generators ---


def seed_all(seed: int, rank: int = 0) -> None:
    """Seeds python, numpy and torch; processes of other rank draw other numbers (seed the model's weights with rank 0)."""
    python, numpy, for_torch = np.random.SeedSequence([seed, rank]).generate_state(3)
    random.seed(int(python))
    np.random.seed(int(numpy))  # noqa: NPY002 -- libraries draw from the global generator
    torch.manual_seed(int(for_torch))


def rng_state() -> dict[str, Any]:
    """Returns the state of all generators of this process."""
    kind, words, position, has_gauss, gauss = np.random.get_state()  # noqa: NPY002
    state = {
        "python": random.getstate(),
        "numpy": (kind, torch.from_numpy(words.astype(np.int64)), position, has_gauss, gauss),
        "torch": torch.get_rng_state(),
    }
    if torch.cuda.is_initialized():  # a run on the CPU makes no context on a card just to ask
        state["cuda"] = torch.cuda.get_rng_state()
    return state


def set_rng_state(state: dict[str, Any]) -> None:
    """Puts all generators back to what `rng_state` returned."""
    random.setstate(state["python"])
    kind, words, *rest = state["numpy"]
    np.random.set_state((kind, words.numpy().astype(np.uint32), *rest))  # noqa: NPY002
    torch.set_rng_state(state["torch"])
    if "cuda" in state and torch.cuda.is_initialized():
        torch.cuda.set_rng_state(state["cuda"])


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """Whatever is drawn inside, the numbers drawn afterwards are the same."""
    state = rng_state()
    try:
        yield
    finally:
        set_rng_state(state)
