"""The sections of a run's config as checked dataclasses, whose fields are the YAML's keys."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from ...config import LARGEST, Positive, Range, Seed, Size
from ...engine import Best, Plan
from ...engine.plan import Limit
from ...errors import UserError, shown

_Momentum = Annotated[float, Range(0, 1)]


def check_positive(where: str, **values: Any) -> None:
    """Raises UserError for a key of the section `where` whose value is no positive number."""
    for name, value in values.items():
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value <= LARGEST:
            raise UserError(f"{where}.{name} = {shown(value)}: expected a positive number")


@dataclass(frozen=True, kw_only=True)
class ModelOptions:
    """`model` without its layer."""

    n_layers: Size = 4
    d_model: Size = 256
    prenorm: bool = True
    norm: Literal["layer", "batch"] | None = "layer"
    norm_momentum: _Momentum = 0.1
    final_norm: bool = True
    dropout: float = 0.0
    tie_dropout: bool = True
    residual: Literal["R"] | bool | None = "R"

    def __post_init__(self) -> None:
        if not 0 <= self.dropout < 1:
            raise UserError(f"model.dropout = {self.dropout}: expected a number in [0, 1)")


@dataclass(frozen=True, kw_only=True)
class Decoder:
    """`decoder`: from a sequence to a vector."""

    mode: Literal["pool", "last"] = "pool"


@dataclass(frozen=True, kw_only=True)
class Classification:
    """`task`: one class a sequence."""


@dataclass(frozen=True, kw_only=True)
class RetrievalTask:
    """`task`: do two documents belong together?"""

    activation: Literal["relu", "gelu"] = "relu"


TASKS = {"classification": Classification, "retrieval": RetrievalTask}


@dataclass(frozen=True, kw_only=True)
class Loader:
    """`loader`: how many examples make a batch, and where a GPU's batches are gathered. `num_workers` has no effect."""

    batch_size: Size = 50
    drop_last: bool = True
    num_workers: Annotated[int, Range(0)] = 4
    stage: Literal["auto", "device", "host"] = "auto"


@dataclass(frozen=True, kw_only=True)
class Adam:
    """`optimizer` adamw or adam."""

    lr: float = 0.001
    weight_decay: float = 0.0
    betas: tuple[_Momentum, _Momentum] = (0.9, 0.999)
    eps: Positive = 1e-8


@dataclass(frozen=True, kw_only=True)
class Sgd:
    """`optimizer` sgd."""

    lr: float = 0.1
    weight_decay: float = 0.0
    momentum: _Momentum = 0.9


OPTIMIZERS = {"adamw": Adam, "adam": Adam, "sgd": Sgd}


@dataclass(frozen=True, kw_only=True)
class Grouping:
    """`train.optimizer_param_grouping`: what decays that does not by default."""

    bias_weight_decay: bool = False
    normalization_weight_decay: bool = False


@dataclass(frozen=True, kw_only=True)
class TrainOptions:
    """`train` without its grouping; see `configs/config.yaml`."""

    seed: Seed = 0
    interval: Literal["step", "epoch"] | None = None
    monitor: Literal["val/accuracy", "val/loss", "train/accuracy", "train/loss"] = "val/accuracy"
    mode: Literal["min", "max", "test"] = "max"
    ema: float = 0.0
    ckpt: str | None = None
    resume: Literal["auto", "never"] = "auto"

    def __post_init__(self) -> None:
        if not 0 <= self.ema < 1:
            raise UserError(f"train.ema = {self.ema}: expected a number in [0, 1)")
        if self.mode == "test" and self.ckpt is None:
            raise UserError("train.mode=test needs train.ckpt=FILE, the last.pt or best.pt of a run")

    def best(self, metric: str = "accuracy") -> Best:
        """Returns which weights are the best; `metric` stands for the accuracy where labels are numbers."""
        return Best(self.monitor.replace("accuracy", metric), "min" if self.mode == "min" else "max")


@dataclass(frozen=True, kw_only=True)
class Trainer(Plan):
    """`trainer`: the loop's plan, which batches of the evaluations are enough, and whether the test set is measured before the end too."""

    limit_val_batches: Limit = 1.0
    limit_test_batches: Limit = 1.0
    test_every_epoch: bool = False
    recompute: bool = False


@dataclass(frozen=True, kw_only=True)
class Wandb:
    """`wandb`; null or absent is mode disabled."""

    mode: Literal["auto", "online", "offline", "disabled"] = "auto"
    project: str | None = "ssm-experiments"
    entity: str | None = None
    name: str | None = None


@dataclass(frozen=True, kw_only=True)
class Reference:
    """`reference`: what is published about the run, for the reader."""

    paper: str | None = None
    table: str | None = None
    accuracy: Annotated[float, Range(0, 100)] | None = None
    recalled: bool = False
    source: str | None = None
    milestone: str | None = None
    epoch_cost: str | None = None

    def lines(self) -> list[str]:
        """What a run prints of it."""
        mark = " (from memory, not confirmed)" if self.recalled else ""
        accuracy = f": {self.accuracy:.2f} % published{mark}" if self.accuracy is not None else ""
        published = [f"reference: {self.paper}, {self.table}{accuracy}"] if self.paper else []
        source = [f"values: {self.source}"] if self.source else []
        milestone = [f"milestone: {self.milestone}"] if self.milestone else []
        cost = (
            [f"cost of an epoch: {self.epoch_cost or 'not measured; --dry_run measures a step here'}"]
            if self.paper
            else []
        )
        return published + source + milestone + cost
