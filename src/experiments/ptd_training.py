"""One training run of P1's image experiments: config, data as batches, and the call of the engine's loop.

AdamW on everything that is not frozen (biases and norms decay too, as in the published scripts), cosine over the epochs, cross-entropy.
"""

from argparse import Namespace
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn

from ..config import build
from ..dataloaders import Batch, Splits, Subset, load
from ..engine import (
    Evaluation,
    FitResult,
    Plan,
    TrainState,
    class_measures,
    fit,
    make_optimizer,
    make_schedule,
    parameter_groups,
    run_ports,
)
from ..engine.state import seed_all
from ..engine.tally import Measures
from ..errors import UserError
from ..linalg.ptd import Perturbation
from ..report.index import IndexPage
from ..report.options import Options
from ..sweep import Control, Run, RunFolder
from ..sweep.script import run_script
from .classify.data import PlacedSplits
from .ptd_models import PERTURBED, ModelName, StateForm, classifier, ssm_layer

DATASETS = {"cifar10": "cifar", "mnist": "mnist", "fashion_mnist": "fashion_mnist", "digits": "digits"}
COLOUR_STD = (0.2023, 0.1994, 0.2010)  # of the published robustness and ablation programs
DatasetName = Literal["cifar10", "mnist", "fashion_mnist", "digits"]


@dataclass(frozen=True, kw_only=True)
class ClassifierConfig:
    """What both experiments set; the names are those of the published options where there is one.

    Attributes:
        n: real order of each SSM.
        ssm_lr: learning rate of A and dt, 0 freezes them; B is always frozen.
        C_lr: of C; null is lr.
        train_size, val_size, test_size: the first so many examples of each split; null takes all.
        perturbation_hash: of the perturbation's content, so that a changed file is another run.
    """

    model: ModelName
    seed: int
    dataset: DatasetName
    grayscale: bool
    epochs: int
    batch_size: int
    lr: float
    weight_decay: float
    ssm_lr: float
    C_lr: float | None
    n_layers: int
    d_model: int
    n: int
    dropout: float
    prenorm: bool
    residual: bool
    skip: bool
    states: StateForm
    train_size: int | None
    val_size: int | None
    test_size: int | None
    perturbation: str | None
    perturbation_hash: str | None

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "n_layers", "d_model", "n", "train_size", "val_size", "test_size"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UserError(f"{name} = {value}: expected 1 or more")
        for name in ("lr", "C_lr"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise UserError(f"{name} = {value}: expected a positive number")
        for name in ("weight_decay", "ssm_lr"):
            if not getattr(self, name) >= 0:
                raise UserError(f"{name} = {getattr(self, name)}: expected 0 or more")
        if not 0 <= self.dropout < 1:
            raise UserError(f"dropout = {self.dropout}: expected a number in [0, 1)")
        if self.n % 2:
            raise UserError(f"n = {self.n}: expected an even number of states (conjugate pairs)")
        if self.grayscale and self.dataset != "cifar10":
            raise UserError(f"grayscale is for the colour images of cifar10; {self.dataset} is grey already")

    def plain(self) -> dict[str, Any]:
        """The config as a run's key needs it: what the model does not use is null."""
        plain = asdict(self)
        if self.model not in PERTURBED:
            plain["perturbation"] = plain["perturbation_hash"] = None
        return plain


def load_splits(config: ClassifierConfig) -> Splits:
    """Returns the data set, cut to the configured sizes.

    Raises:
        UserError: the data are not there; says how to get them and which set needs nothing.
    """
    options = {"grayscale": config.grayscale, "colour_std": COLOUR_STD} if config.dataset == "cifar10" else {}
    try:
        splits = load(DATASETS[config.dataset], **options)
    except UserError as error:
        raise UserError(f"{error}; `--dataset digits` runs at once, offline") from None
    sizes = {"train": config.train_size, "val": config.val_size, "test": config.test_size}
    parts = {name: first(getattr(splits, name), size) for name, size in sizes.items()}
    if len(parts["train"]) < config.batch_size:
        raise UserError(f"batch_size = {config.batch_size}, but there are {len(parts['train'])} training examples")
    rest = {"n_classes": splits.n_classes, "l_max": splits.l_max, "d_input": splits.d_input, "note": splits.note}
    return Splits(**parts, **rest)


def first(dataset: Any, size: int | None) -> Any:
    """Returns the first `size` examples of a data set, all of them for None."""
    return dataset if size is None or size >= len(dataset) else Subset(dataset, torch.arange(size))


def steps_of(config: ClassifierConfig, splits: Splits) -> int:
    """Returns the number of updates of a run."""
    return config.epochs * (len(splits.train) // config.batch_size)


def build_model(config: ClassifierConfig, splits: Splits, perturbation: Perturbation | None) -> nn.Module:
    """Returns the classifier, every draw from the run's seed; models of one seed share all draws that they have in common."""
    seed_all(config.seed)
    generator = torch.Generator().manual_seed(config.seed)
    rates = {"dt": config.ssm_lr, "A": config.ssm_lr, "B": 0.0, "C": config.C_lr}
    layers = [
        ssm_layer(
            config.model,
            config.d_model,
            config.n,
            perturbation,
            rates,
            config.states,
            config.skip,
            config.dropout,
            generator,
        )
        for _ in range(config.n_layers)
    ]
    body = {"prenorm": config.prenorm, "residual": config.residual, "dropout": config.dropout}
    return classifier(splits.d_input, splits.n_classes, layers, d_model=config.d_model, **body)


def measures(model: nn.Module, batch: Batch) -> Measures:
    """Cross-entropy and accuracy of a batch."""
    return class_measures(model(batch.x), batch.y)


Around = Callable[[nn.Module], AbstractContextManager]


def evaluation(
    data: PlacedSplits, part: Any, config: ClassifierConfig, around: Around = lambda model: nullcontext()
) -> Evaluation:
    """Returns the evaluation of a model on a part of the data, inside the context that `around` makes of the model."""
    return Evaluation(data.batches(part, config.batch_size), measures, data.device, around=around)


def train(
    config: ClassifierConfig,
    model: nn.Module,
    data: PlacedSplits,
    folder: RunFolder,
    control: Control,
    evaluators: Mapping[str, Evaluation],
) -> FitResult:
    """Trains the model to its last epoch, from where the folder's state stands.

    Raises:
        Interrupted: the sweep wants to end; the state is saved.
    """
    decay = {"bias_weight_decay": True, "normalization_weight_decay": True}
    groups = parameter_groups(model, config.lr, config.weight_decay, **decay)
    schedule = make_schedule("cosine", T_max=config.epochs, eta_min=0.0)
    state = TrainState(model, make_optimizer("adamw", groups), schedule)
    batches = data.batches(data.splits.train, config.batch_size, config.seed)
    plan = Plan(max_epochs=config.epochs, monitor="val/accuracy")
    ports = run_ports(folder, control)
    return fit(state, batches, measures, plan, data.device, evaluators=evaluators, ports=ports)


def outcome(model: nn.Module, fitted: FitResult) -> dict[str, Any]:
    """Returns what both experiments' result.json holds."""
    return {
        **{name.replace("/", "_"): value for name, value in fitted.last.items()},
        "best_val_accuracy": fitted.best,
        "epochs_done": fitted.epochs,
        "steps": fitted.steps,
        "num_parameters": sum(p.numel() for p in model.parameters() if p.requires_grad),
    }


def run_all(
    runs: list[Run], kind: type[ClassifierConfig], work: str, args: Namespace, report: Callable[[Path, Options], str]
) -> int:
    """Hands the runs, whose numbers of steps are those of the first, to a sweep; returns the exit code."""
    config = build(kind, runs[0].config)
    steps = steps_of(config, load_splits(config))
    return run_script(
        runs,
        work,
        args,
        steps=lambda run: steps,
        report=lambda path: report(path, Options.of(args, runs)),
        page=IndexPage(args.out),
    )
