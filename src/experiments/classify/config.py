"""A whole config, checked: from a composed mapping to the sections of a run, and to the plain values that its key is made of."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...config import build
from ...config.own_code import TARGET, OwnCode
from ...dataloaders.load import check_options
from ...engine import make_schedule
from ...engine.schedule import Schedule
from ...errors import UserError, did_you_mean, shown
from .contents import content_hash, file_hash
from .layers import Layer, parse_layer
from .own import OwnTask, own_code
from .own_sections import TASK, is_own
from .perturbed import Perturbed
from .sections import (
    OPTIMIZERS,
    TASKS,
    Adam,
    Classification,
    Decoder,
    Grouping,
    Loader,
    ModelOptions,
    Reference,
    RetrievalTask,
    Sgd,
    Trainer,
    TrainOptions,
    Wandb,
    check_positive,
)

_NOT_OF_THE_RUN = ("wandb", "out", "device")  # they change no number
_NEWER = {  # keys and what they were before there was one
    ("loader", "stage"): "auto",
    ("trainer", "cuda_graph"): False,
    ("trainer", "recompute"): False,
    ("trainer", "check_every"): None,
}
_SIZES = ("train_size", "val_size", "test_size")


@dataclass(frozen=True)
class TrainConfig:
    """A whole config, checked.

    Attributes:
        plain: the config as the key of its run: plain values, without what changes no number, and with the hash of what files hold.
        dataset: name; `dataset_options` are the data set's own keys and `sizes` the subsets' sizes.
        optimizer: name; `optimizer_options` are its keys.
        probe: what robustness.py does to the trained model.
    """

    plain: dict[str, Any]
    model: ModelOptions
    layer: Layer
    decoder: Decoder
    task: Classification | RetrievalTask | OwnTask
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
    device: str = "auto"
    out: str = "runs"
    probe: Mapping[str, Any] | None = None

    @property
    def own_code(self) -> list[OwnCode]:
        """Classes of the user's that a run of it imports."""
        return own_code((self.layer, self.task))

    def schedule(self) -> Schedule:
        """Returns a fresh schedule."""
        name, options = _named(self.scheduler, "scheduler")
        default = {"mode": self.train.mode} if name == "plateau" and self.train.mode != "test" else {}
        return make_schedule(name, **default | options)


_MAPPINGS = ("model", "decoder", "task", "dataset", "loader", "optimizer", "scheduler", "trainer", "train")
SECTIONS = {
    *("model", "decoder", "task", "dataset", "loader", "optimizer", "scheduler", "trainer", "train"),
    *("wandb", "reference", "device", "out"),
    *(
        "probe",
        "asked",
        "contents",
    ),  # of robustness.py; what P1's scripts were asked, for their reports; hashes of files
}


def parse(config: Mapping[str, Any]) -> TrainConfig:
    """Returns the checked form of a composed config, or of a run's; what files hold is hashed, or compared with the run's hashes.

    Raises:
        UserError: an unknown key (with a suggestion), a value of the wrong type or out of range, an impossible pair, or a file that
            changed since the run was planned.
    """
    for key in config:
        if key not in SECTIONS:
            name = key if isinstance(key, str) else shown(key)
            raise UserError(f"config: unknown key '{name}'{did_you_mean(name, SECTIONS)}")
    for key in _MAPPINGS:
        _section(config, key)
    model, train, dataset = _section(config, "model"), _section(config, "train"), _section(config, "dataset")
    layer = parse_layer(_section(model, "layer", "model.layer"))
    grouping = build(
        Grouping, _section(train, "optimizer_param_grouping", "train.optimizer_param_grouping"), "train grouping"
    )
    task = _task(config)
    optimizer, optimizer_options = _choice(config, "optimizer", OPTIMIZERS)
    name, dataset_options = _named(dataset, "dataset")
    sizes = {key: dataset_options.pop(key, None) for key in _SIZES}
    data = check_options(name, **dataset_options)
    options = build(TrainOptions, {k: v for k, v in train.items() if k != "optimizer_param_grouping"}, "train")
    parsed = TrainConfig(
        plain=_plain(config, _checked_contents(layer, task, options, data.files(), config.get("contents"))),
        model=build(ModelOptions, {k: v for k, v in model.items() if k != "layer"}, "model"),
        layer=layer,
        decoder=build(Decoder, _section(config, "decoder"), "decoder"),
        task=task,
        dataset=name,
        dataset_options=dataset_options,
        sizes=sizes,
        loader=build(Loader, _section(config, "loader"), "loader"),
        optimizer=optimizer,
        optimizer_options=build(OPTIMIZERS[optimizer], optimizer_options, f"optimizer {optimizer}"),
        scheduler=_section(config, "scheduler"),
        trainer=build(Trainer, _section(config, "trainer"), "trainer"),
        train=options,
        grouping=grouping,
        wandb=_wandb(config.get("wandb")),
        reference=build(Reference, {} if config.get("reference") is None else config["reference"], "reference"),
        device=_text(config, "device", "auto"),
        out=_text(config, "out", "runs"),
        probe=config.get("probe"),
    )
    _check(parsed)
    return parsed


def _check(config: TrainConfig) -> None:
    """What no section can see by itself; nothing is read but perturbation files."""
    for key, size in config.sizes.items():
        if isinstance(size, float):
            raise UserError(f"dataset.{key} = {size}: expected a whole number")
    check_positive("dataset", **{key: value for key, value in config.sizes.items() if value is not None})
    check_positive("optimizer", lr=config.optimizer_options.lr)
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


def _task(config: Mapping[str, Any]) -> Classification | RetrievalTask | OwnTask:
    section = _section(config, "task")
    if is_own(section):
        return OwnTask(OwnCode.of({key: value for key, value in section.items() if key != "_name_"}, TASK))
    name, options = _choice(config, "task", TASKS)
    return build(TASKS[name], options, f"task {name}")


def _wandb(section: Any) -> Wandb:
    return Wandb(mode="disabled") if section is None else build(Wandb, section, "wandb")


def _checked_contents(
    layer: Layer, task: Any, train: TrainOptions, files: Mapping[str, Path], planned: Mapping[str, str] | None
) -> dict[str, str]:
    """Hashes of what the run reads from files or solves, so that a changed file is another run."""
    found: dict[str, str] = {}
    if isinstance(layer, Perturbed):
        found["perturbation"] = content_hash(layer.find())
    if train.ckpt is not None:
        found["train.ckpt"] = file_hash(train.ckpt, "checkpoint")
    found |= {f"dataset.{name}": file_hash(path) for name, path in files.items()}
    found |= {f"{code.where}.{TARGET}": file_hash(file) for code in own_code((layer, task)) if (file := code.source())}
    for name, value in (planned or {}).items():
        if found.get(name) != value:
            raise UserError(f"{name}: its content is not the one that this run was planned with")
    return found


def _plain(config: Mapping[str, Any], contents: dict[str, str]) -> dict[str, Any]:
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
    return plain | ({"contents": contents} if contents else {})
