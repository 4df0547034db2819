"""Learning-rate schedules as functions of the step (or the epoch): rate(base, t), with each group's own rate as `base`.

There is no hidden counter to restore: a resumed run asks for the rate at its step. Only `Plateau` remembers something, what it has
observed. Names and defaults are those of the published configs.
"""

import dataclasses
import math
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal

from ..config.build import Count, NotNegative, Range, build
from ..errors import UserError, did_you_mean

Interval = Literal["step", "epoch"]
_Steps = Annotated[int, Range(0)]
_Factor = Annotated[float, Range(0, 1)]


class Schedule:
    """The contract; by itself it changes nothing."""

    interval: ClassVar[Interval] = "step"

    def rate(self, base: float, t: int) -> float:
        """Returns the learning rate for step (or epoch) t = 0, 1, ... of a group whose own rate is `base`."""
        return base

    def end(self) -> int | None:
        """Returns the step from which on the rate is 0, or None."""
        return None

    def observe(self, metric: float) -> None:
        """Takes the monitored metric after an epoch."""

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        if state:
            raise ValueError(f"{type(self).__name__} has no state, got {sorted(state)}")


@dataclass
class Constant(Schedule):
    """The groups' own rates, unchanged."""


@dataclass
class ConstantWarmup(Schedule):
    """Linear from 0, then constant."""

    num_warmup_steps: _Steps = 1000

    def rate(self, base: float, t: int) -> float:
        return base * _warmup(t, self.num_warmup_steps)


@dataclass
class Cosine(Schedule):
    """eta_min + (base - eta_min) (1 + cos(pi t / T_max)) / 2; it rises again after T_max, as torch's does."""

    interval: ClassVar[Interval] = "epoch"
    T_max: int = 100
    eta_min: NotNegative = 1e-6

    def rate(self, base: float, t: int) -> float:
        return self.eta_min + (base - self.eta_min) * (1 + math.cos(math.pi * t / self.T_max)) / 2


@dataclass
class CosineWarmup(Schedule):
    """Linear from 0, then half a cosine down to 0 at `num_training_steps`.

    Args:
        after_end: the published runs follow the cosine up again ("periodic") where they train longer, as IMDB's does;
            "zero" stays at 0.
    """

    num_warmup_steps: _Steps = 1000
    num_training_steps: int = 40_000
    after_end: Literal["zero", "periodic"] = "zero"

    def rate(self, base: float, t: int) -> float:
        if t < self.num_warmup_steps:
            return base * _warmup(t, self.num_warmup_steps)
        progress = (t - self.num_warmup_steps) / max(1, self.num_training_steps - self.num_warmup_steps)
        if self.after_end == "zero":
            progress = min(progress, 1.0)
        return base * max(0.0, (1 + math.cos(math.pi * progress)) / 2)

    def end(self) -> int | None:
        return self.num_training_steps if self.after_end == "zero" else None


@dataclass
class LinearWarmup(Schedule):
    """Linear from 0, then linear down to 0 at `num_training_steps`."""

    num_warmup_steps: _Steps = 1000
    num_training_steps: int = 40_000

    def rate(self, base: float, t: int) -> float:
        if t < self.num_warmup_steps:
            return base * _warmup(t, self.num_warmup_steps)
        left = (self.num_training_steps - t) / max(1, self.num_training_steps - self.num_warmup_steps)
        return base * max(0.0, left)

    def end(self) -> int | None:
        return self.num_training_steps


@dataclass
class MultiStep(Schedule):
    """base gamma^k after k of the milestones."""

    interval: ClassVar[Interval] = "epoch"
    milestones: tuple[Count, ...] = (80, 140, 180)
    gamma: _Factor = 0.2

    def rate(self, base: float, t: int) -> float:
        return base * self.gamma ** sum(t >= milestone for milestone in self.milestones)


@dataclass
class Plateau(Schedule):
    """Multiplies by `factor` when the metric has not improved, by more than a share `threshold`, for over `patience` epochs.

    An epoch whose metric is NaN counts as one without improvement and is never the best.
    """

    interval: ClassVar[Interval] = "epoch"
    mode: Literal["min", "max"] = "max"
    factor: _Factor = 0.2
    patience: _Steps = 20
    min_lr: NotNegative = 0.0
    threshold: NotNegative = 1e-4
    _cuts: int = field(default=0, init=False)
    _best: float | None = field(default=None, init=False)
    _bad_epochs: int = field(default=0, init=False)

    def rate(self, base: float, t: int) -> float:
        return max(base * self.factor**self._cuts, self.min_lr)

    def observe(self, metric: float) -> None:
        if self._is_better(metric):
            self._best, self._bad_epochs = metric, 0
        else:
            self._bad_epochs += 1
        if self._bad_epochs > self.patience:
            self._cuts, self._bad_epochs = self._cuts + 1, 0

    def _is_better(self, metric: float) -> bool:
        if math.isnan(metric):
            return False
        if self._best is None:
            return True
        if self.mode == "min":
            return metric < self._best * (1 - self.threshold)
        return metric > self._best * (1 + self.threshold)

    def state_dict(self) -> dict[str, Any]:
        return {"cuts": self._cuts, "best": self._best, "bad_epochs": self._bad_epochs}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._cuts, self._best, self._bad_epochs = state["cuts"], state["best"], state["bad_epochs"]


SCHEDULES: dict[str, type[Schedule]] = {
    "constant": Constant,
    "constant_warmup": ConstantWarmup,
    "cosine": Cosine,
    "cosine_warmup": CosineWarmup,
    "linear_warmup": LinearWarmup,
    "multistep": MultiStep,
    "plateau": Plateau,
}


def make_schedule(name: str = "constant", **options: Any) -> Schedule:
    """Returns the schedule of that name; `options` are the fields of its class.

    Raises:
        UserError: an unknown name or option, or a value of the wrong type or range.
    """
    if name not in SCHEDULES:
        raise UserError(f"unknown scheduler '{name}'{did_you_mean(name, SCHEDULES)}")
    schedule = build(SCHEDULES[name], options, where=f"scheduler {name}")
    for option, value in dataclasses.asdict(schedule).items():
        if option in ("num_training_steps", "T_max") and value < 1:
            raise UserError(f"scheduler {name}: {option} must be at least 1, got {value}")
    return schedule


def _warmup(t: int, n: int) -> float:
    return min(1.0, t / n) if n > 0 else 1.0
