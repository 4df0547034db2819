"""What training is asked to do, and what it answers; the names of the plan's fields are the configs'."""

from dataclasses import dataclass
from typing import Annotated, Literal

from ..config import Count, NotNegative, Range
from ..errors import UserError
from .device import Precision

Limit = Annotated[float, Range(0, 1, above=True)] | Count  # a share or a number of batches


@dataclass(frozen=True)
class Plan:
    """How long and how to train; the names are the configs'.

    Attributes:
        max_epochs, max_steps: training ends with the first that is reached; None is no limit.
        gradient_clip_val: largest norm of the gradient; None does not clip.
        limit_train_batches: share (float) or number (int) of an epoch's batches.
        compile: try torch.compile.
        cuda_graph: repeat steps of one shape as a captured CUDA graph; see `src.engine.graphs`.
        log_every: steps between rows of the log.
        save_seconds: states are saved at least so often, between steps.
        save_steps: and after every so many steps.
        check_every: steps between looks at whether the loss is finite; None is 1 on a CPU and `log_every` on a GPU, where
            every look waits for the device.
    """

    max_epochs: int | None = 200
    max_steps: int | None = None
    accumulate_grad_batches: int = 1
    gradient_clip_val: float | None = None
    limit_train_batches: Limit = 1.0
    precision: Precision = "fp32"
    compile: bool = False
    cuda_graph: bool = False
    log_every: int = 50
    save_seconds: NotNegative = 60.0
    save_steps: int | None = None
    check_every: int | None = None

    def __post_init__(self) -> None:
        if self.max_epochs is None and self.max_steps is None:
            raise UserError("training needs an end: set max_epochs or max_steps")
        for name in ("max_epochs", "max_steps", "accumulate_grad_batches", "log_every", "save_steps", "check_every"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UserError(f"{name} must be at least 1, got {value}")
        if self.gradient_clip_val is not None and not self.gradient_clip_val > 0:
            raise UserError(f"gradient_clip_val must be positive or null, got {self.gradient_clip_val}")


@dataclass(frozen=True)
class Best:
    """Which weights are the best: those of the epoch whose row has the largest, or least, `monitor`."""

    monitor: str = "val/accuracy"
    mode: Literal["min", "max"] = "max"

    def is_better(self, value: float, best: float) -> bool:
        """Whether a value of the metric is better than the best so far."""
        return value > best if self.mode == "max" else value < best


@dataclass(frozen=True)
class FitResult:
    """What training ended with: the last epoch's row, the best epoch, and the final tests ("test@last/accuracy", ...)."""

    steps: int
    epochs: int
    last: dict[str, float]
    best: float | None
    best_epoch: int | None
    final: dict[str, float]


def limited(n_batches: int, limit: float | int) -> int:
    """Returns how many of `n_batches` a limit leaves: a share of them (a float), or a number (an int); at least 1 unless there is none.

    Raises:
        UserError: a share outside (0, 1], or a number below 1.
    """
    if isinstance(limit, bool) or not limit > 0 or (isinstance(limit, float) and limit > 1):
        raise UserError(f"a limit of batches is a share in (0, 1] or a whole number of at least 1, got {limit!r}")
    if isinstance(limit, int):
        return min(n_batches, limit)
    return min(n_batches, max(1, int(n_batches * limit)))
