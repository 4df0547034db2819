"""What robustness.py and ablation.py share on the command line: the published options, the YAML file behind them, perturbations by name."""

import argparse
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..config import load_yaml, parse_assignments
from ..errors import UserError, did_you_mean
from ..linalg.ptd import Perturbation, named_perturbation
from ..linalg.ptd.named import DATA
from ..resources import resource
from ..sweep.cli import SuggestingParser, add_assignments
from .ptd_models import MODELS
from .ptd_training import DATASETS

CONFIGS = resource("configs")
NUMBERS = (
    ("lr", float, "learning rate; A, dt and C have their own in the YAML file"),
    ("weight_decay", float, "AdamW's weight decay"),
    ("epochs", int, "passes over the training set"),
    ("batch_size", int, "sequences a step"),
    ("n_layers", int, "SSM layers"),
    ("d_model", int, "channels"),
    ("dropout", float, "dropout"),
)
KEPT = (
    *(name for name, _, _ in NUMBERS),
    "dataset",
    "grayscale",
    "prenorm",
    "n",
)  # options that are keys of the YAML files


def add_published_arguments(parser: SuggestingParser, defaults: Mapping[str, Any]) -> None:
    """Adds the options of the published scripts; what is not given stays as in the YAML file (`defaults`)."""
    for name, kind, text in NUMBERS:
        parser.add_argument(
            f"--{name}", type=kind, metavar="X" if kind is float else "N", help=f"{text} (default: {defaults[name]})"
        )
    parser.add_argument(
        "--dataset", choices=tuple(DATASETS), help=f"sequences of pixels (default: {defaults['dataset']})"
    )
    parser.add_argument("--grayscale", action="store_true", default=None, help="cifar10 in grey")
    parser.add_argument("--prenorm", action="store_true", default=None, help="layer norm before each layer, not after")
    parser.add_argument(
        "--resume", action="store_true", help="accepted: the same command always continues where it was"
    )
    parser.add_argument(
        "--num_workers", type=int, metavar="N", help="accepted: batches are gathered from memory, without workers"
    )
    parser.add_argument("--n", type=int, metavar="N", help=f"states of each SSM (default: {defaults['n']})")
    add_assignments(parser, "--set", "any other key of the YAML file, such as train_size=10000")


def settings(args: argparse.Namespace, where: Path, options: Sequence[str]) -> dict[str, Any]:
    """Returns the YAML file's keys with the command line's values in place.

    Args:
        options: names of the options that are keys of the file.

    Raises:
        UserError: an unknown key, or one that is given twice.
    """
    config = load_yaml(where)
    given = {name: getattr(args, name) for name in options if getattr(args, name) is not None}
    for key, value in parse_assignments(args.set).items():
        if key not in config:
            raise UserError(f"--set {key}: unknown key{did_you_mean(key, config)}")
        if key in given:
            raise UserError(f"{key} is given twice: by --{key} and by --set")
        given[key] = value
    return config | given


def model_list(text: str) -> tuple[str, ...]:
    """Returns the models of a comma-separated list."""
    names = tuple(text.split(","))
    for name in names:
        if name not in MODELS:
            raise argparse.ArgumentTypeError(f"unknown model '{name}'{did_you_mean(name, MODELS)}")
    return names


def find_perturbation(name: str, n: int, size: float | None = None, seed: int = 0) -> Perturbation:
    """Returns `named_perturbation`, where a file's name without a folder may also mean the one in `data/`.

    Raises:
        UserError: no such file, or one that does not fit.
    """
    in_data = DATA / name
    if not Path(name).exists() and Path(name).name == name and in_data.is_file():
        return named_perturbation(in_data, n, size, seed)
    return named_perturbation(name, n, size, seed)


def content_hash(perturbation: Perturbation) -> str:
    """Returns 12 hex digits that name E, to 9 significant digits, whatever file it came from."""
    text = "\n".join(f"{x.real:.9e} {x.imag:.9e}" for x in perturbation.E.astype(complex).ravel())
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def checked_perturbation(config: Any, size: float | None = None, seed: int = 0) -> Perturbation | None:
    """Returns the perturbation of a run's config, None where its model has none.

    Raises:
        UserError: the file has changed since the run was planned.
    """
    if config.perturbation is None:
        return None
    found = find_perturbation(config.perturbation, config.n, size, seed)
    if content_hash(found) != config.perturbation_hash:
        raise UserError(f"perturbation '{config.perturbation}' is not the one that this run was planned with")
    return found
