"""The theory experiment (P2 = arXiv 2410.14067, Section 4.1, Tables 1 and 2): can a real or complex diagonal SSM learn an impulse response?

The command line of `train_theory.py`; what a worker does is in `theory_work.py`.

On a CPU a core trains one run at a time; with `--device cuda` all runs of a shape train together, and between two logged rows the host
does nothing. The fused kernel gives each run a multiprocessor for itself: as many runs as the card has of them should take about as
long as one, and the 162 real runs of one shape two rounds or less on a large card. So a GPU is for sweeps, and a single run for the
compiled loop of a CPU. With several GPUs shapes go to different ones, and a shape is cut where a GPU would be idle.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..config import build, expand_grid, load_yaml, parse_assignments, section
from ..cost import Shorter
from ..errors import UserError, did_you_mean
from ..lazy import later
from ..report.index import IndexPage
from ..report.options import Options, add_report_arguments
from ..report.reporters import REPORTERS, THEORY
from ..resources import module, resource
from ..sweep import Run
from ..sweep.cli import SuggestingParser, add_common_arguments, positive_int
from ..sweep.devices import pick_devices
from ..sweep.script import run_script
from ..theory.config import TheoryConfig

CONFIGS = resource("configs") / "theory"
PAPER_NAMES = {
    "n": "N",
    "t": "L",
    "optimizer": "opt",
    "target": "task_name",
}  # of P2 and of the tables -> of the config
SHORT_EPOCHS = 20_000
EXAMPLES = (
    "python train_theory.py --experiment complex",
    "python train_theory.py --experiment real --seeds 5 --num_cpus 8",
    "python train_theory.py --experiment complex --num_epochs 20000 N=32,64 task_name=copy",
    "python train_theory.py --experiment real --as_published --dry_run",
)
_NOT_OF_THE_RUN = ("use_wandb", "wandb_project_name")  # published keys that change no number


def main(argv: Sequence[str] | None = None) -> int:
    """The command line of `train_theory.py`; returns its exit code."""
    args, words = _parser().parse_words(argv)
    where = CONFIGS / f"theory_{args.experiment}.yaml"
    base, axes, wandb = _settings(args, words, where)
    experiment = f"theory-{args.experiment}"
    runs = [_run(experiment, point, args.as_published, str(where)) for point in expand_grid(base, axes)]
    on_cpu = args.device == "auto" and args.gpus is None  # the compiled loops are fast there
    devices = ["cpu"] if on_cpu else pick_devices(args.device, args.gpus, args.launcher)
    return run_script(
        runs,
        module("experiments.theory_work:work"),
        args,
        steps=lambda run: run.config["num_epochs"],
        report=lambda folder: REPORTERS[THEORY](folder, Options.of(args, runs)),
        page=IndexPage(args.out),
        devices=devices,
        group=_shape,
        wandb=wandb,
        cost=later("experiments.theory_work:step_cost"),
        alike=_shape,
        shorter=Shorter(f"--num_epochs {SHORT_EPOCHS}", SHORT_EPOCHS),
    )


def _parser() -> argparse.ArgumentParser:
    parser = SuggestingParser(
        prog="train_theory.py",
        description="Can a real / complex diagonal SSM learn an impulse response? (arXiv 2410.14067, Tables 1 and 2)",
        examples=EXAMPLES,
    )
    parser.add_argument("--experiment", required=True, choices=("real", "complex"), help="the field of the SSM")
    add_common_arguments(parser, seeds="3", project_name="TheoreticalSSM")
    add_report_arguments(parser)
    parser.add_argument(
        "--num_epochs", type=positive_int, metavar="N", help="optimizer steps (default: 500000, as published)"
    )
    return parser


def _by_option(changes: dict[str, Any]) -> dict[str, Any]:
    """The changes under the names of the config, where a word has the one that tables and the paper use."""
    named = {PAPER_NAMES.get(key, key): value for key, value in changes.items()}
    if len(named) < len(changes):
        twice = [f"{paper} and {key}" for paper, key in PAPER_NAMES.items() if {paper, key} <= set(changes)]
        raise UserError(f"{twice[0]} are two names of one key; give one of them")
    return named


def _settings(
    args: argparse.Namespace, words: Sequence[str], where: Path
) -> tuple[dict[str, Any], dict[str, Any], str]:
    """The config file with the command line's changes: (fixed keys, swept axes, W&B mode)."""
    base = load_yaml(where)
    axes = section(base.pop("sweep", {}), f"{where}: sweep")
    axes["seed"] = list(args.seeds)
    changes = _by_option(parse_assignments(words))
    if args.num_epochs is not None:
        if "num_epochs" in changes:
            raise UserError("num_epochs is given twice: by --num_epochs and by a word")
        changes["num_epochs"] = args.num_epochs
    for key, value in changes.items():
        if key not in base:
            raise UserError(f"unknown key '{key}'{did_you_mean(key, base)}")
        if isinstance(value, list):
            axes[key] = value
        else:
            axes.pop(key, None)
            base[key] = value
    wandb = args.wandb if base.pop("use_wandb", True) or args.wandb != "auto" else "disabled"
    base.pop("wandb_project_name", None)
    return base, axes, wandb


def _run(experiment: str, point: dict[str, Any], as_published: bool, where: str) -> Run:
    config = build(TheoryConfig, point, where=where)
    config = config.as_published() if as_published else config
    field = "complex" if config.complex_option else "real"
    label = f"{field} {config.task_name} N={config.N} L={config.L} {config.opt} lr={config.lr:g} r_min={config.r_min:g} seed={config.seed}"
    return Run(experiment, config.plain(), label + ("" if config.zero_grad else " as published"))


def _shape(run: Run) -> tuple[Any, ...]:
    """Runs of one shape can be one batch."""
    return tuple(run.config[key] for key in ("N", "L", "complex_option", "dtype", "num_epochs"))
