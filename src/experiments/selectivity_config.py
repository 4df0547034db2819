"""One run of the selectivity experiment: the published configuration sections, their keys, types and ranges.

A config is nested in files and flat here, with the dotted names of the command line (`model.ssm_type`). Keys that published files hold but
that change nothing here are accepted with the one value that is meant.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Literal

from ..config import build
from ..errors import UserError, did_you_mean
from ..models.mamba_config import MambaConfig, as_published
from ..tasks.tokens import Copy, InductionHead, TokenTask

TASKS = ("delay", "induction_head")
_IGNORED = {"use_cuda": (bool,), "pscan": (bool,), "bidirectional": (bool,), "pad_vocab_size_multiple": (int,)}


@dataclass(frozen=True)
class DatasetConfig:
    """The task; `symbols` is how many symbols are drawn (null: 16 for the delay, 15 beside the mark for the induction head)."""

    name: Literal["delay", "induction_head"]
    epoch_size: int = 8192
    n_categories: int = 16
    symbols: int | None = None
    lag: int = 64
    extra: int = 64
    copy_token: bool = False
    seq_len: int = 256
    induction_len: int = 128
    num_triggers: int = 1
    auto_regressive: bool | None = None

    def __post_init__(self) -> None:
        for name in ("epoch_size", "n_categories", "lag", "extra", "seq_len", "induction_len"):
            if getattr(self, name) < 1:
                raise UserError(f"dataset.{name} = {getattr(self, name)}: expected 1 or more")
        induction = self.name == "induction_head"
        fixed = {"num_triggers": 1, "copy_token": False, "auto_regressive": induction}
        for name, value in fixed.items():
            if getattr(self, name) not in (value, None):
                raise UserError(
                    f"dataset.{name} = {getattr(self, name)}: the {self.name} task of the paper has {value}"
                )

    def task(self) -> TokenTask:
        """Returns the task that these keys describe."""
        if self.name == "delay":
            return Copy(self.symbols or self.n_categories, self.lag, self.extra)
        return InductionHead(self.symbols or self.n_categories - 1, self.induction_len, self.seq_len)


@dataclass(frozen=True)
class TrainConfig:
    """Adam at a constant rate on fresh batches; training ends with the first limit that is reached."""

    num_epochs: int = 1000
    max_steps: int | None = None
    batch_size: int = 8
    lr: float = 1e-3
    stop_on_loss: float | None = None  # mean loss of an epoch

    def __post_init__(self) -> None:
        for name in ("num_epochs", "max_steps", "batch_size"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UserError(f"train.{name} = {value}: expected 1 or more")
        if not 0 < self.lr < float("inf"):
            raise UserError(f"train.lr = {self.lr}: expected a positive number")


@dataclass(frozen=True)
class SelectivityConfig:
    """A run: task, model, training, seed; `lengths` are input lengths of further tests (extrapolation)."""

    dataset: DatasetConfig
    train: TrainConfig
    model: MambaConfig
    seed: int = 0
    test_size: int = 1000
    lengths: tuple[int, ...] = field(default=())
    as_published: bool = False

    def __post_init__(self) -> None:
        if self.seed < 0 or self.test_size < 1:
            raise UserError(f"seed = {self.seed}, test_size = {self.test_size}: expected seed >= 0 and test_size >= 1")
        if self.train.batch_size > self.dataset.epoch_size:
            raise UserError(
                f"train.batch_size = {self.train.batch_size} is more than dataset.epoch_size = {self.dataset.epoch_size}"
            )
        task = self.dataset.task()
        if self.model.vocab_size < task.vocab_size:
            raise UserError(
                f"model.vocab_size = {self.model.vocab_size}: the task has {task.vocab_size} different tokens"
            )
        for length in self.lengths:
            task.at_length(length)

    def plain(self) -> dict[str, Any]:
        """Returns the resolved config as plain nested dicts: what a run is keyed by."""
        return {**asdict(self), "lengths": list(self.lengths)}


def from_flat(flat: Mapping[str, Any], where: str, published: bool = False) -> SelectivityConfig:
    """Builds a config from dotted keys.

    Args:
        published: take every choice of the published code that departs from the paper.

    Raises:
        UserError: an unknown key, a wrong type, a value out of range.
    """
    sections: dict[str, dict[str, Any]] = {"dataset": {}, "train": {}, "model": {}, "": {}}
    for key, value in flat.items():
        section, _, name = key.rpartition(".")
        if section not in sections:
            raise UserError(
                f"{where}: unknown section '{section}'{did_you_mean(section, ['dataset', 'train', 'model'])}"
            )
        sections[section][name] = value
    check_ignored(sections["model"], where)
    dataset, train, model = (
        build(cls, sections[name], f"{where}: {name}")
        for name, cls in (("dataset", DatasetConfig), ("train", TrainConfig), ("model", MambaConfig))
    )
    if published:
        dataset = replace(dataset, symbols=dataset.symbols or dataset.n_categories - 1)
        train = replace(train, stop_on_loss=train.stop_on_loss or (0.01 if dataset.name == "delay" else 1e-5))
        model = as_published(model)
    rest = {**sections[""], "as_published": published}
    known = {f.name for f in fields(SelectivityConfig)} - {"dataset", "train", "model"}
    for key in rest:
        if key not in known:
            raise UserError(f"{where}: unknown key '{key}'{did_you_mean(key, known)}")
    seed, test_size, lengths = rest.get("seed", 0), rest.get("test_size", 1000), rest.get("lengths", ())
    for name, value in (("seed", seed), ("test_size", test_size)):
        if not isinstance(value, int) or isinstance(value, bool):
            raise UserError(f"{where}: {name} = {value!r} is not a whole number")
    return SelectivityConfig(dataset, train, model, seed, test_size, tuple(lengths), published)


def check_ignored(model: dict[str, Any], where: str) -> None:
    """Removes the keys of published files that choose nothing here, after a look at their values."""
    for name, types in _IGNORED.items():
        value = model.pop(name, None)
        if value is not None and type(value) not in types:
            raise UserError(
                f"{where}: model.{name} = {value!r} is not {'true or false' if bool in types else 'a whole number'}"
            )
        if name == "bidirectional" and value:
            raise UserError(f"{where}: model.bidirectional = true: the tasks are causal; expected false")


def from_plain(plain: Mapping[str, Any]) -> SelectivityConfig:
    """Returns the config that `plain` described."""
    return SelectivityConfig(
        build(DatasetConfig, plain["dataset"]),
        build(TrainConfig, plain["train"]),
        build(MambaConfig, plain["model"]),
        plain["seed"],
        plain["test_size"],
        tuple(plain["lengths"]),
        plain["as_published"],
    )
