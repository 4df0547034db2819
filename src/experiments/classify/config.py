"""The sections of a composed config as checked dataclasses, whose fields are the YAML's keys. Nothing here reads data."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Annotated, Any, Literal

from ...config import LARGEST, Count, NotNegative, Positive, Range, Seed, Size, build
from ...dataloaders.load import check_options
from ...engine import Plan, make_schedule
from ...engine.device import Precision
from ...engine.schedule import Schedule
from ...errors import UserError, did_you_mean, shown
from .layers import Layer, parse_layer

_NOT_OF_THE_RUN = ("wandb", "out", "device")  # they change no number
_NEWER = {("loader", "stage"): "auto", ("trainer", "cuda_graph"): False}  # keys and what they were before there was one
_SIZES = ("train_size", "val_size", "test_size")
_Momentum = Annotated[float, Range(0, 1)]
_Limit = Annotated[float, Range(0, 1, above=True)] | Count  # a share or a number of batches


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
    residual: Literal["R"] | None = "R"

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


@dataclass(frozen=True, kw_only=True)
class Trainer:
    """`trainer`: see `src.engine.Plan`; the limits of evaluations are its batches' too."""

    max_epochs: int | None = 200
    max_steps: int | None = None
    accumulate_grad_batches: int = 1
    gradient_clip_val: float | None = None
    limit_train_batches: _Limit = 1.0
    limit_val_batches: _Limit = 1.0
    limit_test_batches: _Limit = 1.0
    precision: Precision = "fp32"
    compile: bool = False
    cuda_graph: bool = False
    log_every: int = 50
    save_seconds: NotNegative = 60.0
    save_steps: int | None = None

    def plan(self, train: TrainOptions) -> Plan:
        """Returns what `fit` is asked to do."""
        of_plan = {k: v for k, v in asdict(self).items() if not k.startswith(("limit_val", "limit_test"))}
        return Plan(**of_plan, monitor=train.monitor, mode="min" if train.mode == "min" else "max")


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
        return published + source + milestone + ([f"cost of an epoch: {self.epoch_cost}"] if self.epoch_cost else [])


@dataclass(frozen=True)
class TrainConfig:
    """A whole config, checked.

    Attributes:
        plain: the config as the key of its run: plain values, without what changes no number.
        dataset: name; `dataset_options` are the data set's own keys and `sizes` the subsets' sizes.
        optimizer: name; `optimizer_options` are its keys.
    """

    plain: dict[str, Any]
    model: ModelOptions
    layer: Layer
    decoder: Decoder
    task: Classification | RetrievalTask
    dataset: str
    dataset_options: dict[str, Any]
    sizes: dict[str, int | None]
    loader: Loader
    optimizer: str
    optimizer_options: Adam | Sgd
    scheduler: dict[str, Any]
    trainer: Trainer
    train: TrainOptions
    grouping: Grouping
    wandb: Wandb
    reference: Reference
    device: str = field(default="auto")
    out: str = field(default="runs")

    def schedule(self) -> Schedule:
        """Returns a fresh schedule."""
        name, options = _named(self.scheduler, "scheduler")
        default = {"mode": self.train.mode} if name == "plateau" and self.train.mode != "test" else {}
        return make_schedule(name, **default | options)


_MAPPINGS = ("model", "decoder", "task", "dataset", "loader", "optimizer", "scheduler", "trainer", "train")
_SECTIONS = {
    *("model", "decoder", "task", "dataset", "loader", "optimizer", "scheduler", "trainer", "train"),
    *("wandb", "reference", "device", "out"),
}


def parse(config: Mapping[str, Any]) -> TrainConfig:
    """Returns the checked form of a composed config, or of a run's.

    Raises:
        UserError: an unknown key (with a suggestion), a value of the wrong type or out of range, or an impossible pair.
    """
    for key in config:
        if key not in _SECTIONS:
            name = key if isinstance(key, str) else shown(key)
            raise UserError(f"config: unknown key '{name}'{did_you_mean(name, _SECTIONS)}")
    for key in _MAPPINGS:
        _section(config, key)
    model, train, dataset = _section(config, "model"), _section(config, "train"), _section(config, "dataset")
    layer = parse_layer(_section(model, "layer", "model.layer"))
    grouping = build(
        Grouping, _section(train, "optimizer_param_grouping", "train.optimizer_param_grouping"), "train grouping"
    )
    task, task_options = _choice(config, "task", TASKS)
    optimizer, optimizer_options = _choice(config, "optimizer", OPTIMIZERS)
    name, dataset_options = _named(dataset, "dataset")
    sizes = {key: dataset_options.pop(key, None) for key in _SIZES}
    parsed = TrainConfig(
        plain=_plain(config),
        model=build(ModelOptions, {k: v for k, v in model.items() if k != "layer"}, "model"),
        layer=layer,
        decoder=build(Decoder, _section(config, "decoder"), "decoder"),
        task=build(TASKS[task], task_options, f"task {task}"),
        dataset=name,
        dataset_options=dataset_options,
        sizes=sizes,
        loader=build(Loader, _section(config, "loader"), "loader"),
        optimizer=optimizer,
        optimizer_options=build(OPTIMIZERS[optimizer], optimizer_options, f"optimizer {optimizer}"),
        scheduler=_section(config, "scheduler"),
        trainer=build(Trainer, _section(config, "trainer"), "trainer"),
        train=build(TrainOptions, {k: v for k, v in train.items() if k != "optimizer_param_grouping"}, "train"),
        grouping=grouping,
        wandb=_wandb(config.get("wandb")),
        reference=build(Reference, {} if config.get("reference") is None else config["reference"], "reference"),
        device=_text(config, "device", "auto"),
        out=_text(config, "out", "runs"),
    )
    _check(parsed)
    return parsed


def _check(config: TrainConfig) -> None:
    """What no section can see by itself; nothing is read but perturbation files."""
    check_options(config.dataset, **config.dataset_options)
    for key, size in config.sizes.items():
        if isinstance(size, float):
            raise UserError(f"dataset.{key} = {size}: expected a whole number")
    _check_positive("dataset", **{key: value for key, value in config.sizes.items() if value is not None})
    _check_positive("optimizer", lr=config.optimizer_options.lr)
    if config.optimizer_options.weight_decay < 0:
        raise UserError(f"optimizer.weight_decay = {config.optimizer_options.weight_decay}: expected 0 or more")
    schedule, interval = config.schedule(), config.train.interval
    if interval is not None and interval != schedule.interval:
        name = config.scheduler["_name_"]
        raise UserError(f"train.interval = {interval}, but scheduler {name} counts {schedule.interval}s; leave it null")
    if (config.dataset == "aan") != isinstance(config.task, RetrievalTask):
        raise UserError(
            f"dataset {config.dataset} and this task do not go together; pairs of documents need task=retrieval"
        )
    config.trainer.plan(config.train)


def _section(config: Mapping[str, Any], key: str, where: str = "") -> dict[str, Any]:
    value = config.get(key)
    if not isinstance(value, Mapping):
        raise UserError(f"{where or key} = {shown(value)} is not a mapping of keys to values")
    return dict(value)


def _text(config: Mapping[str, Any], key: str, default: str) -> str:
    """A value that a shell may have made a number."""
    value = config.get(key, default)
    if isinstance(value, bool) or not isinstance(value, (str, int)) or not shown(value).strip("'"):
        raise UserError(f"{key} = {shown(value)} is not text")
    return value if isinstance(value, str) else shown(value)


def _named(section: Mapping[str, Any], where: str) -> tuple[str, dict[str, Any]]:
    """(what `_name_` says, the other keys)."""
    options = dict(section)
    name = options.pop("_name_", None)
    if not isinstance(name, str):
        raise UserError(f"{where}._name_ = {shown(name)}: expected a name")
    return name, options


def _choice(config: Mapping[str, Any], key: str, known: Mapping[str, type]) -> tuple[str, dict[str, Any]]:
    name, options = _named(_section(config, key), key)
    if name not in known:
        raise UserError(f"unknown {key} '{name}'{did_you_mean(name, known)}")
    return name, options


def _wandb(section: Any) -> Wandb:
    return Wandb(mode="disabled") if section is None else build(Wandb, section, "wandb")


def _check_positive(where: str, **values: Any) -> None:
    for name, value in values.items():
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value <= LARGEST:
            raise UserError(f"{where}.{name} = {shown(value)}: expected a positive number")


def _plain(config: Mapping[str, Any]) -> dict[str, Any]:
    """Without what changes no number, so that a run's key stays when only that is edited."""
    plain = {key: value for key, value in config.items() if key not in _NOT_OF_THE_RUN}
    plain["train"] = {key: value for key, value in plain["train"].items() if key != "resume"}
    for section in ("loader", "trainer"):
        plain[section] = {k: v for k, v in plain[section].items() if v != _NEWER.get((section, k), object())}
    reference = (
        plain["reference"] if isinstance(plain.get("reference"), Mapping) else {}
    )  # anything else is refused beside this
    plain["reference"] = {
        key: value for key, value in reference.items() if key not in ("source", "milestone", "epoch_cost")
    }
    return plain
