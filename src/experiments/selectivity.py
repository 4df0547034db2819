"""The selectivity experiments (P2 = arXiv 2410.14067, Section 5 and Table 3): Mamba on copy and induction head, real against complex, with
each of B, C and dt selective or not.

`train_selectivity.py` is the door; `work` is what a sweep's worker calls. Training sees a fresh batch every step; accuracy is measured on
held-out examples from a stream that training never draws from: 1,000 for testing, other 200 after each epoch to follow the run.
"""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..config import expand_grid, load_yaml, parse_assignments, section
from ..cost import Shorter, StepCost
from ..engine import (
    Evaluation,
    GeneratedBatches,
    Plan,
    Ratio,
    Staged,
    TensorBatches,
    TrainState,
    fit,
    make_optimizer,
    parameter_groups,
    run_ports,
)
from ..engine.evaluate import Objective
from ..engine.measure import training_cost
from ..engine.state import seed_all, undisturbed
from ..errors import UserError, did_you_mean
from ..models.mamba_lm import MambaConfig, MambaLM
from ..ops.backend import chosen
from ..ops.jit import announce_compilation
from ..report import selectivity as report
from ..report.index import IndexPage
from ..report.options import Options, add_report_arguments
from ..resources import module, resource
from ..sweep import Control, Run, RunFolder
from ..sweep.cli import SuggestingParser, add_common_arguments
from ..sweep.script import run_script
from ..tasks.tokens import HELD_OUT, TokenBatch, TokenTask
from .selectivity_config import DatasetConfig, SelectivityConfig, TrainConfig, from_flat, from_plain

CONFIGS = resource("configs") / "selectivity"
STAGE = 64  # batches that a GPU is sent in one copy: they are small
SHORT_STEPS = 2000
FOLLOWED = 200  # held-out examples after each epoch
EXTRAPOLATION = tuple(2**k for k in range(6, 15))
_FIELDS = {"seed": [1111, 2222, 3333], "model.ssm_type": ["S6-Real", "S6-Complex"]}
_SWITCHES = {f"model.{name}_is_selective": [False, True] for name in ("B", "C", "dt")}
GRIDS = {"compare_real_complex": _FIELDS, "ablation": _SWITCHES | _FIELDS}  # P2's Section 5 and Table 3
EXAMPLES = (
    "python train_selectivity.py --config delay.yaml --compare_real_complex",
    "python train_selectivity.py --config induction.yaml --ablation --num_cpus 8",
    "python train_selectivity.py --config delay.yaml model.ssm_type=S6-Complex dataset.lag=16 dataset.extra=16",
)


# --- a run ---


def work(folders: list[RunFolder], control: Control) -> None:
    """Trains one run and ends it with its held-out accuracies."""
    (folder,) = folders
    config, device = from_plain(folder.config), torch.device(control.device)
    seed_all(config.seed)
    model = MambaLM(config.model).to(device)
    optimizer = make_optimizer("adam", parameter_groups(model, config.train.lr))
    task, batch_size = config.dataset.task(), config.train.batch_size
    scored = scored_steps(task)
    fresh = GeneratedBatches(
        lambda seed, step: task.batch(seed, step, batch_size), config.dataset.epoch_size // batch_size, config.seed
    )
    followed = task.batch(config.seed, 1, FOLLOWED, HELD_OUT, device)
    result = fit(
        TrainState(model, optimizer),
        Staged(fresh, device, STAGE),
        scores(scored),
        Plan(
            max_epochs=config.train.num_epochs,
            max_steps=config.train.max_steps,
            monitor="val/accuracy",
            log_every=200,
        ),
        device,
        evaluators={"val": _evaluation(followed, scored, device)},
        final={"test": _evaluation(task.held_out(config.seed, config.test_size, device), scored, device)},
        enough=lambda row: config.train.stop_on_loss is not None and row["train/loss"] < config.train.stop_on_loss,
        ports=run_ports(folder, control),
    )
    folder.finish(
        {
            **{f"test/{name}": value for name, value in _plain(result.final, "test@last/").items()},
            **{f"test_at_best_val/{name}": value for name, value in _plain(result.final, "test@best-val/").items()},
            "steps": result.steps,
            "trainable_parameters": model.trainable_parameters(),
            "chance": task.chance,
            "backends": chosen() | ({"selective scan": config.model.backend} if config.model.backend else {}),
            "extrapolation": {str(length): _at_length(model, config, length, device) for length in config.lengths},
        }
    )


def scores(scored: int) -> Objective:
    """Returns the objective that judges the last `scored` steps: loss, token and sequence accuracy, first and last token."""

    def measure(model: nn.Module, batch: TokenBatch) -> dict[str, Ratio]:
        logits, targets = model(batch.inputs)[:, -scored:], batch.targets[:, -scored:]
        loss = nn.functional.cross_entropy(logits.transpose(1, 2), targets, reduction="sum")
        right, n = logits.argmax(-1) == targets, len(targets)
        return {
            "loss": Ratio(loss, targets.numel()),
            "accuracy": Ratio(right.sum(), targets.numel()),
            "sequence_accuracy": Ratio(right.all(1).sum(), n),
            "first_token_accuracy": Ratio(right[:, 0].sum(), n),
            "last_token_accuracy": Ratio(right[:, -1].sum(), n),
        }

    return measure


def scored_steps(task: TokenTask) -> int:
    """Returns how many steps at the end of an input are judged."""
    return int((task.batch(0, 0, 1).targets != -100).sum())


def _evaluation(batch: TokenBatch, scored: int, device: torch.device, size: int = 50) -> Evaluation:
    return Evaluation(_TokenBatches(batch, size), scores(scored), device)


class _TokenBatches(TensorBatches):
    """Held-out examples as `TokenBatch`es, in order."""

    def __init__(self, batch: TokenBatch, size: int) -> None:
        super().__init__(batch, size)

    def iterate(self, epoch: int = 0, start: int = 0):
        return (TokenBatch(*rows) for rows in super().iterate(epoch, start))


def _at_length(model: nn.Module, config: SelectivityConfig, length: int, device: torch.device) -> dict[str, float]:
    """Accuracies on inputs of another length; fewer examples where they are long, so that each length costs about the same."""
    task = config.dataset.task()
    size = max(16, min(config.test_size, config.test_size * task.length // length))
    longer = task.at_length(length)
    batch = longer.held_out(config.seed, size, device)
    return {
        "examples": size,
        **_evaluation(batch, scored_steps(longer), device, max(1, min(50, 2**15 // length)))(model),
    }


def _plain(final: Mapping[str, float], prefix: str) -> dict[str, float]:
    return {name.removeprefix(prefix): value for name, value in final.items() if name.startswith(prefix)}


# --- the sweep ---


def main(argv: Sequence[str] | None = None) -> int:
    """The command line of `train_selectivity.py`; returns its exit code."""
    args, words = _parser().parse_words(argv)
    runs = _runs(args, words)
    if not args.dry_run:
        print("\n".join(_models(runs)))
    return run_script(
        runs,
        module("experiments.selectivity:work"),
        args,
        steps=lambda run: _steps(from_plain(run.config)),
        report=lambda folder: report.report(folder, Options.of(args, runs)),
        page=IndexPage(args.out),
        cost=_step_cost,
        alike=_shape,
        shorter=Shorter(f"--overrides train.max_steps={SHORT_STEPS}", SHORT_STEPS),
    )


def _step_cost(run: Run) -> StepCost:
    announce_compilation()
    config, device = from_plain(run.config), torch.device("cpu")
    task = config.dataset.task()
    objective = scores(scored_steps(task))
    with undisturbed():
        model = MambaLM(config.model)
    return training_cost(model, objective, lambda size: task.batch(0, 0, size), config.train.batch_size, device)


def _shape(run: Run) -> str:
    """What decides the cost of a step; which of B, C and dt are selective changes little."""
    config = from_plain(run.config)
    model = replace(config.model, B_is_selective=True, C_is_selective=True, dt_is_selective=True)
    return repr((config.dataset, model, config.train.batch_size))


def _parser() -> argparse.ArgumentParser:
    parser = SuggestingParser(
        prog="train_selectivity.py",
        description="Mamba with any part selective, real against complex (arXiv 2410.14067, Section 5 and Table 3)",
        examples=EXAMPLES,
    )
    parser.add_argument(
        "--config", required=True, metavar="FILE", help="delay.yaml, induction.yaml, or a file of yours"
    )
    grids = parser.add_mutually_exclusive_group()
    grids.add_argument("--compare_real_complex", action="store_true", help="S6-Real and S6-Complex, three seeds each")
    grids.add_argument(
        "--ablation", action="store_true", help="B, C and dt selective or not: 8 combinations, real and complex"
    )
    parser.add_argument(
        "--extrapolate", action="store_true", help="test at input lengths 2^6 .. 2^14 too, where the task allows"
    )
    add_common_arguments(parser, seeds="3", project_name="Selectivity-Experiments")
    add_report_arguments(parser)
    parser.set_defaults(seeds=None)
    return parser


def _runs(args: argparse.Namespace, words: Sequence[str]) -> list[Run]:
    """All runs that the command line asks for, checked."""
    path = Path(args.config) if Path(args.config).exists() else CONFIGS / args.config
    if not path.exists():
        raise UserError(
            f"--config {args.config}: no such file{did_you_mean(args.config, [p.name for p in CONFIGS.glob('*.yaml')])}"
        )
    content = load_yaml(path)
    grids = section(content.pop("sweep", {}), f"{path}: sweep")
    for name in grids:
        if name not in GRIDS:
            raise UserError(f"{path}: sweep: unknown grid '{name}'{did_you_mean(name, GRIDS)}")
    for name in ("dataset", "train", "model"):
        section(content.get(name, {}), f"{path}: {name}")
    content.pop("wandb", None)  # published files may hold a key; --wandb and the environment decide here
    base = _flat(content)
    choice = "ablation" if args.ablation else "compare_real_complex" if args.compare_real_complex else None
    axes = {}
    if choice:  # a published file has no axes: they stood in its code
        axes = section(grids.get(choice, GRIDS[choice]), f"{path}: sweep.{choice}")
    if args.seeds is not None:
        axes["seed"] = list(args.seeds)
    for key, value in parse_assignments(words).items():
        _check_key(key, base)
        if isinstance(value, list) and key != "lengths":
            axes[key] = value
        else:
            axes.pop(key, None)
            base[key] = value
    configs = [from_flat(point, str(path), args.as_published) for point in expand_grid(base, axes)]
    if args.extrapolate:
        configs = [_with_lengths(config) for config in configs]
    return [Run(f"selectivity-{c.dataset.name.removesuffix('_head')}", c.plain(), _label(c)) for c in configs]


def _flat(content: Mapping[str, Any]) -> dict[str, Any]:
    nested = {
        f"{section}.{key}": value
        for section, keys in content.items()
        if isinstance(keys, dict)
        for key, value in keys.items()
    }
    return {**{key: value for key, value in content.items() if not isinstance(value, dict)}, **nested}


def _check_key(key: str, base: Mapping[str, Any]) -> None:
    sections = {"dataset": DatasetConfig, "train": TrainConfig, "model": MambaConfig}
    known = {f"{name}.{f.name}" for name, cls in sections.items() for f in fields(cls)} | {
        "seed",
        "test_size",
        "lengths",
        *base,
    }
    if key not in known:
        raise UserError(f"unknown key '{key}'{did_you_mean(key, known)}")


def _with_lengths(config: SelectivityConfig) -> SelectivityConfig:
    lengths = []
    for length in EXTRAPOLATION:
        try:
            config.dataset.task().at_length(length)
        except UserError:
            continue  # too short for the task
        lengths.append(length)
    return replace(config, lengths=tuple(lengths))


def _label(c: SelectivityConfig) -> str:
    selective = "".join(name for name, on in zip("BCd", _switches(c), strict=True) if on) or "none"
    return f"{c.model.ssm_type} selective={selective} seed={c.seed}" + (" as published" if c.as_published else "")


def _switches(c: SelectivityConfig) -> tuple[bool, bool, bool]:
    return c.model.B_is_selective, c.model.C_is_selective, c.model.dt_is_selective


def _steps(config: SelectivityConfig) -> int:
    steps = config.train.num_epochs * (config.dataset.epoch_size // config.train.batch_size)
    return min(steps, config.train.max_steps or steps)


def _models(runs: Sequence[Run]) -> list[str]:
    """One line a model: its parameters, so that real and complex can be compared; and the chance level."""
    configs = {_label(c).partition(" seed")[0]: c for c in (from_plain(run.config) for run in runs)}
    lines = [f"{label}: {_size(c)}" for label, c in configs.items()]
    chance = next(iter(configs.values())).dataset.task().chance
    return [*lines, f"chance level: {100 * chance:.2f} % of the tokens"]


def _size(config: SelectivityConfig) -> str:
    try:
        return f"{MambaLM(config.model).trainable_parameters():,} trainable parameters"
    except (MemoryError, RuntimeError):  # the run will record it; others may fit
        return "more parameters than the memory holds here"
