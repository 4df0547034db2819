"""P1's scripts as sweeps of classifier runs: their published options as words, and a run for each point.

A YAML file of P1 (configs/robustness.yaml, configs/ablation.yaml) has short keys beside the sections of a run, which refer to them, so
that `lr=0.02` and `optimizer.lr=0.02` are both words of its config.
"""

import argparse
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ...config import load_yaml
from ...config.own_code import TARGET
from ...config.words import key_of, quoted
from ...cost import Shorter
from ...errors import UserError
from ...report.index import IndexPage
from ...report.options import Options
from ...sweep import Run
from ...sweep.cli import SuggestingParser
from ...sweep.script import run_script
from .compose import CONFIGS, Composed, compose_all
from .config import SECTIONS, parse
from .cost import RunCosts
from .model import check_layer
from .own_sections import KERNEL, LAYER, TASK

NUMBERS = (
    ("lr", float, "learning rate; A, dt and C have their own"),
    ("weight_decay", float, "AdamW's weight decay"),
    ("epochs", int, "passes over the training set"),
    ("batch_size", int, "sequences a step"),
    ("n_layers", int, "SSM layers"),
    ("d_model", int, "channels"),
    ("n", int, "states of each SSM"),
    ("dropout", float, "dropout"),
)
DATASETS = ("cifar10", "mnist", "fashion_mnist", "digits")
COLOUR_STD = (0.2023, 0.1994, 0.2010)  # that both scripts divide the colours of CIFAR-10 by


class Point(NamedTuple):
    """What one run of a sweep has of its own.

    Attributes:
        asked: the same for its report; has a model.
        words: what makes it so.
        label: for people.
    """

    asked: dict[str, Any]
    words: tuple[str, ...]
    label: str


def add_published_arguments(parser: SuggestingParser, defaults: Mapping[str, Any]) -> None:
    """Adds the options of the published scripts; what is not given stays as in the YAML file (`defaults`)."""
    for name, kind, text in NUMBERS:
        parser.add_argument(
            f"--{name}", type=kind, metavar="X" if kind is float else "N", help=f"{text} (default: {defaults[name]})"
        )
    parser.add_argument("--dataset", choices=DATASETS, help="sequences of pixels (default: cifar10)")
    parser.add_argument("--grayscale", action="store_true", default=None, help="cifar10 in grey")
    parser.add_argument("--prenorm", action="store_true", default=None, help="layer norm before each layer, not after")
    parser.add_argument(
        "--resume", action="store_true", help="accepted: the same command always continues where it was"
    )
    parser.add_argument(
        "--num_workers", type=int, metavar="N", help="accepted: batches are gathered from memory, without workers"
    )


def defaults_of(name: str) -> dict[str, Any]:
    """Returns the short keys of a YAML file of P1, for help texts."""
    return load_yaml(CONFIGS / f"{name}.yaml")


def asked_words(name: str, args: argparse.Namespace, words: Sequence[str]) -> list[str]:
    """Returns the words of a command line: its YAML file, its options that are keys of that file (and --dataset), its bare words.

    Raises:
        UserError: a key that is given twice, or a word that chooses what the script's points choose.
    """
    options = (*defaults_of(name), "dataset")
    given = {option: value for option, value in vars(args).items() if option in options and value is not None}
    for word in words:
        key = key_of(word)
        if key in given:
            raise UserError(f"{key} is given twice: by --{key} and by '{word}'")
        if key in (f"{LAYER}.{TARGET}", f"{TASK}.{TARGET}"):
            raise UserError(
                f"'{word}': this script needs the steps and the accuracy of S4's layers; a kernel of yours can stand in them "
                f"({KERNEL}.{TARGET}=...), a layer or a task trains with `python -m train`"
            )
        if key in ("experiment", "model", "model/layer"):
            raise UserError(
                f"'{word}': this script trains several models; choose with models=[s4d,s4-ptd,s4,s5,s5-ptd] (robustness.py) or "
                "baselines=[s4d,s4] (ablation.py), or train one with `python -m train`"
            )
    words = [*(f"{key}={quoted(value)}" for key, value in given.items()), *words]
    return [f"experiment={name}", *map(_pipeline, words)]


def _pipeline(word: str) -> str:
    """`dataset=digits`, the published option, is the pipeline of that name."""
    key, _, value = word.partition("=")
    return f"pipeline={'cifar' if value == 'cifar10' else value}" if key == "dataset" else word


def first_config(words: Sequence[str]) -> dict[str, Any]:
    """Returns the config of the first point that the words span: what it says of the sweep itself."""
    return compose_all(words, multirun=True)[0].config


def listed(value: Any) -> list[Any]:
    """Returns a list of what may be one value, a list, or null."""
    return [] if value is None else list(value) if isinstance(value, (list, tuple)) else [value]


def make_runs(experiment: str, words: Sequence[str], points: Iterable[Point], varied: Iterable[str]) -> list[Run]:
    """Returns the runs of all points, each at every value that words with commas span.

    Args:
        varied: short keys that the points replace.
    """
    head, *own = words
    runs = []
    for point in points:
        grown = [head, *point.words, *own]
        for composed in compose_all(grown, multirun=True):
            runs.append(_run(experiment, composed, point, varied))
    return runs


def _run(experiment: str, composed: Composed, point: Point, varied: Iterable[str]) -> Run:
    config, skipped = composed.config, {*SECTIONS, *varied}
    if config["grayscale"] and config["dataset"]["_name_"] != "cifar":
        raise UserError(f"grayscale is for the colour images of cifar10; {config['dataset']['_name_']} is grey already")
    if config["dataset"]["_name_"] == "cifar":
        config["dataset"] |= {"grayscale": config["grayscale"], "colour_std": list(COLOUR_STD)}
    if isinstance(config["n"], int) and config["n"] % 2:
        raise UserError(f"n = {config['n']}: expected an even number of states (conjugate pairs)")
    layer_words = [word for word in composed.words if word.startswith("model.layer.") and word not in point.words]
    asked = {key: value for key, value in config.items() if key not in skipped}
    asked |= {**point.asked, "dataset": _dataset(config), "seed": config["train"]["seed"], "words": layer_words}
    parsed = parse({**{key: config[key] for key in config if key in SECTIONS}, "asked": asked})
    check_layer(parsed)
    return Run(experiment, parsed.plain, f"{point.label} {asked['dataset']} seed={asked['seed']}")


def _dataset(config: Mapping[str, Any]) -> str:
    name = config["dataset"]["_name_"]
    return "cifar10" if name == "cifar" else name


def run_points(runs: list[Run], work: str, args: argparse.Namespace, report: Callable[[Path, Options], str]) -> int:
    """Hands the runs, whose numbers of steps are those of the first, to a sweep; returns the exit code.

    Raises:
        UserError: the data are not there; says how to get them and which set needs nothing.
    """
    costs = RunCosts()
    try:
        steps = costs.steps(runs[0])
    except UserError as error:
        raise UserError(f"{error}; `--dataset digits` runs at once, offline") from None
    epochs = parse(runs[0].config).trainer.max_epochs
    return run_script(
        runs,
        work,
        args,
        steps=lambda run: steps,
        report=lambda path: report(path, Options.of(args, runs)),
        page=IndexPage(args.out),
        cost=costs.of_step,
        alike=costs.alike,
        shorter=Shorter("--epochs 1", steps // epochs),
    )
