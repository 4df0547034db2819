"""The selectivity experiments (P2 = arXiv 2410.14067, Section 5 and Table 3): Mamba on copy and induction head, real against complex, with
each of B, C and dt selective or not.

The command line of `train_selectivity.py`; what a worker does is in `selectivity_work.py`.
"""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from ..config import expand_grid, load_yaml, parse_assignments, section
from ..cost import Shorter
from ..errors import UserError, did_you_mean
from ..lazy import later
from ..models.mamba_config import MambaConfig
from ..report.index import IndexPage
from ..report.options import Options, add_report_arguments
from ..report.reporters import REPORTERS, SELECTIVITY
from ..resources import module, resource
from ..sweep import Run, survey
from ..sweep.cli import SuggestingParser, add_common_arguments
from ..sweep.script import run_script
from .selectivity_config import DatasetConfig, SelectivityConfig, TrainConfig, from_flat, from_plain

CONFIGS = resource("configs") / "selectivity"
SHORT_STEPS = 2000
EXTRAPOLATION = tuple(2**k for k in range(6, 15))
_FIELDS = {"seed": [1111, 2222, 3333], "model.ssm_type": ["S6-Real", "S6-Complex"]}
_SWITCHES = {f"model.{name}_is_selective": [False, True] for name in ("B", "C", "dt")}
GRIDS = {"compare_real_complex": _FIELDS, "ablation": _SWITCHES | _FIELDS}  # P2's Section 5 and Table 3
EXAMPLES = (
    "python train_selectivity.py --config delay.yaml --compare_real_complex",
    "python train_selectivity.py --config induction.yaml --ablation --num_cpus 8",
    "python train_selectivity.py --config delay.yaml model.ssm_type=S6-Complex dataset.lag=16 dataset.extra=16",
)


def main(argv: Sequence[str] | None = None) -> int:
    """The command line of `train_selectivity.py`; returns its exit code."""
    args, words = _parser().parse_words(argv)
    runs = _runs(args, words)
    if not args.dry_run and survey(runs, args.out).left:
        print("\n".join(later("experiments.selectivity_work:models")(_models(runs))))
    return run_script(
        runs,
        module("experiments.selectivity_work:work"),
        args,
        steps=lambda run: _steps(from_plain(run.config)),
        report=lambda folder: REPORTERS[SELECTIVITY](folder, Options.of(args, runs)),
        page=IndexPage(args.out),
        cost=later("experiments.selectivity_work:step_cost"),
        alike=_shape,
        shorter=Shorter(f"--overrides train.max_steps={SHORT_STEPS}", SHORT_STEPS),
    )


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


def _models(runs: Sequence[Run]) -> dict[str, SelectivityConfig]:
    """A config of each model, by what it is called."""
    return {_label(c).partition(" seed")[0]: c for c in (from_plain(run.config) for run in runs)}
