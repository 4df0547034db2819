"""The theory experiment (P2 = arXiv 2410.14067, Section 4.1, Tables 1 and 2): can a real or complex diagonal SSM learn an impulse response?

`train_theory.py` is the door; `work` is what a sweep's worker calls. A run logs a row about every 1/500 of its steps, saves its state every
20 seconds, and ends with errors and parameter magnitudes evaluated in float64 from the definition.

On a CPU a core trains one run at a time; with `--device cuda` all runs of a shape train together, and between two logged rows the host
does nothing. The fused kernel gives each run a multiprocessor for itself: as many runs as the card has of them should take about as
long as one, and the 162 real runs of one shape two rounds or less on a large card. So a GPU is for sweeps, and a single run for the
compiled loop of a CPU. With several GPUs shapes go to different ones, and a shape is cut where a GPU would be idle.
"""

import argparse
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from ..config import build, expand_grid, load_yaml, parse_assignments, section
from ..cost import Shorter, StepCost, peak_memory
from ..errors import UserError, did_you_mean
from ..ops.jit import announce_compilation
from ..report import theory as report
from ..report.index import IndexPage
from ..report.options import Options, add_report_arguments
from ..resources import module, resource
from ..sweep import Control, Interrupted, Run, RunFolder
from ..sweep.cli import SuggestingParser, add_common_arguments, positive_int
from ..sweep.devices import pick_devices
from ..sweep.script import run_script
from ..theory.config import TheoryConfig
from ..theory.fit import make_fit, warm_up
from ..theory.polar import impulse_response, magnitudes
from ..theory.state import Fit, FitState
from ..theory.targets import target

CONFIGS = resource("configs") / "theory"
PAPER_NAMES = {
    "n": "N",
    "t": "L",
    "optimizer": "opt",
    "target": "task_name",
}  # of P2 and of the tables -> of the config
ROWS = 500  # logged rows of a run
SAVE_SECONDS = 20.0
MEASURED_SECONDS = 0.03  # of a step, before the runs begin
SHORT_EPOCHS = 20_000
EXAMPLES = (
    "python train_theory.py --experiment complex",
    "python train_theory.py --experiment real --seeds 5 --num_cpus 8",
    "python train_theory.py --experiment complex --num_epochs 20000 N=32,64 task_name=copy",
    "python train_theory.py --experiment real --as_published --dry_run",
)
_NOT_OF_THE_RUN = ("use_wandb", "wandb_project_name")  # published keys that change no number


# --- a run ---


def work(folders: list[RunFolder], control: Control) -> None:
    """Trains the runs of `folders`, one on the CPU or several of one shape on a GPU, and ends each with `finish` or `fail`."""
    trainings = [_Training(folder) for folder in folders]
    control.resumed(sum(t.state.step for t in trainings))
    for step in sorted({t.state.step for t in trainings}):  # a batch stands at one step
        _train([t for t in trainings if t.state.step == step], control)


class _Training:
    """A run's config and state, with the folder they are kept in."""

    def __init__(self, folder: RunFolder) -> None:
        self.folder = folder
        self.config = build(TheoryConfig, folder.config, where=str(folder.path))
        plain = folder.load_state()
        self.state = FitState.start(self.config) if plain is None else FitState.from_plain(plain)
        self.seconds = 0.0 if plain is None else float(plain["seconds"])

    def save(self) -> None:
        self.folder.save_state({**self.state.to_plain(), "seconds": self.seconds})

    def log(self, loss: float) -> None:
        size, c = magnitudes(self.state.theta, self.state.signs), self.config
        lr = c.lr * 0.5 * (1 + np.cos(np.pi * (self.state.step - 1) / c.num_epochs))
        self.folder.log.log(self.state.step, loss=loss, min_loss=self.state.best_loss, lr=float(lr), **asdict(size))


def _train(trainings: list[_Training], control: Control) -> None:
    """Advances the runs together, chunk by chunk; the chunks lie on one grid however often the run is interrupted."""
    configs = [t.config for t in trainings]
    epochs, chunk = configs[0].num_epochs, max(1, configs[0].num_epochs // ROWS)
    fit, backend = make_fit(configs, [t.state for t in trainings], control.device)
    saved, step = time.monotonic(), trainings[0].state.step
    while step < epochs:
        count = min(chunk - step % chunk, epochs - step)
        started = time.perf_counter()
        losses = fit.advance(count)
        seconds = time.perf_counter() - started
        step += count
        _record(fit, trainings, losses, seconds)
        control.advance(count * len(trainings))
        live = [t for t in trainings if t.folder.ended is None]
        if not live:
            return
        stop = control.stop()
        if stop or time.monotonic() - saved > SAVE_SECONDS:
            for training in live:
                training.save()
            saved = time.monotonic()
        if stop:
            raise Interrupted
    for training in trainings:
        if training.folder.ended is None:
            _finish(training, backend)


def _record(fit: Fit, trainings: list[_Training], losses: np.ndarray, seconds: float) -> None:
    """Logs the runs that are healthy; ends those whose loss is not a number any more."""
    for training, state, loss in zip(trainings, fit.states, losses, strict=True):
        if training.folder.ended is not None:
            continue
        training.state = state
        training.seconds += seconds / len(trainings)
        if np.isfinite(loss):
            training.log(float(loss))
        else:
            lr = training.config.lr
            text = f"the loss is {loss} before step {state.step} of {training.config.num_epochs}; lr = {lr:g} is too large?"
            training.folder.fail(FloatingPointError(text))


def _finish(training: _Training, backend: str) -> None:
    """Judges the last and the best parameters in float64 and writes the result."""
    c, state = training.config, training.state
    phi = target(c.task_name, c.L, c.seed)
    last, best = (impulse_response(theta, state.signs, c.L) for theta in (state.theta, state.best_theta))
    result = {
        **_errors(last, phi, "loss", "l1", ""),
        **_errors(best, phi, "min_loss", "l1", "_at_min"),
        "min_loss_step": state.best_step,
        **asdict(magnitudes(state.theta, state.signs)),
        **{f"{k}_at_min": x for k, x in asdict(magnitudes(state.best_theta, state.signs)).items()},
        "num_parameters": state.theta.size,
        "steps": c.num_epochs,
        "seconds": training.seconds,
        "steps_per_second": c.num_epochs / training.seconds,
        "backend": backend,
        "backends": {"theory": backend},
    }
    training.folder.save_arrays(target=phi, response=last, response_at_min=best)
    training.save()
    training.folder.finish(result)


def _errors(K: np.ndarray, phi: np.ndarray, squared: str, l1: str, suffix: str) -> dict[str, float]:
    """Squared L2 error (||phi||_2 = 1, so the zero map has 1), and the L1 error as it is and relative to the zero map's."""
    raw = float(np.abs(K - phi).sum())
    return {
        squared: float(((K - phi) ** 2).sum()),
        f"{l1}{suffix}": raw / float(np.abs(phi).sum()),
        f"{l1}_raw{suffix}": raw,
    }


# --- the sweep ---


def main(argv: Sequence[str] | None = None) -> int:
    """The command line of `train_theory.py`; returns its exit code."""
    args, words = _parser().parse_words(argv)
    where = CONFIGS / f"theory_{args.experiment}.yaml"
    base, axes, wandb = _settings(args, words, where)
    experiment = f"theory-{args.experiment}"
    runs = [_run(experiment, point, args.as_published, str(where)) for point in expand_grid(base, axes)]
    on_cpu = args.device == "auto" and args.gpus is None  # the compiled loops are fast there
    devices = ["cpu"] if on_cpu else pick_devices(args.device, args.gpus, args.launcher)
    if devices == ["cpu"]:
        announce_compilation()
        warm_up()  # here, so that the workers find the code in the cache
    return run_script(
        runs,
        module("experiments.theory:work"),
        args,
        steps=lambda run: run.config["num_epochs"],
        report=lambda folder: report.report(folder, Options.of(args, runs)),
        page=IndexPage(args.out),
        devices=devices,
        group=_shape,
        wandb=wandb,
        cost=_step_cost,
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


def _step_cost(run: Run) -> StepCost:
    """Measured with as many steps as a few hundredths of a second hold."""
    config = build(TheoryConfig, run.config)
    fit, _ = make_fit([config], [FitState.start(config)], "cpu")
    fit.advance(1)
    count, seconds = 8, 0.0
    while seconds < MEASURED_SECONDS and count < config.num_epochs:
        count *= 4
        started = time.perf_counter()
        fit.advance(count)
        seconds = time.perf_counter() - started
    return StepCost(seconds / count if seconds else 1e-5, peak_memory())
