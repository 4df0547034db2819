"""The robustness experiment (P1 = arXiv 2310.01698, Section 5.2, Fig. 3a, b): S4D against S4-PTD under noise that the model never saw.

`robustness.py` is the door. As published, A, B and dt are frozen, there is no residual, and at test time a Fourier mode at the last
spike of S4D's transfer function enters every SSM layer. A run trains one model with one seed, measures clean validation, clean test
and noisy test accuracy after every epoch, and is probed with the other noises at its end.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from ..config import build, load_yaml
from ..dataloaders import Splits
from ..errors import UserError, did_you_mean
from ..linalg.legs_transfer import last_spike
from ..report import robustness as report
from ..report.options import add_report_arguments
from ..resources import module
from ..sweep import Control, Interrupted, Run, RunFolder
from ..sweep.cli import SuggestingParser, add_common_arguments
from ..tasks.noise import FourierMode, injected
from .classify.data import place
from .ptd_models import PERTURBED, layer_steps, middle_step
from .ptd_options import (
    CONFIGS,
    KEPT,
    add_published_arguments,
    checked_perturbation,
    content_hash,
    find_perturbation,
    model_list,
    settings,
)
from .ptd_training import (
    ClassifierConfig,
    build_model,
    evaluation,
    first,
    load_splits,
    outcome,
    run_all,
    train,
)
from .robustness_probes import GROUPS, Probe, input_steps, probes

EXPERIMENT = report.PREFIX
NOISE_SEED = 20231001  # every model meets the same draws
EXAMPLES = (
    "python robustness.py --dataset digits --epochs 30",
    "python robustness.py --models s4d,s4-ptd,s4 --seeds 2 --num_cpus 2",
    "python robustness.py --perturbation solve --set perturbation_size=0.1 --noise frequency,amplitude",
    "python robustness.py --set ssm_lr=0.001 d_model=32 n_layers=2 train_size=10000",
)


@dataclass(frozen=True, kw_only=True)
class RobustnessConfig(ClassifierConfig):
    """Keys of configs/robustness.yaml, for one run.

    Attributes:
        perturbation_size: ||E||_2 / ||A_H||_2 of 'solve' and 'random'; null is the published one.
        amplitude: of the Fourier mode after every epoch.
        noise: groups of probes after the last epoch.
        probe_size: test examples of each of those.
        frequency_count, frequency_amplitudes: of the frequency sweep.
    """

    perturbation_size: float | None
    amplitude: float
    noise: tuple[str, ...]
    probe_size: int | None
    frequency_count: int
    frequency_amplitudes: tuple[float, ...]

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in self.noise:
            if name not in GROUPS:
                raise UserError(f"noise: unknown group '{name}'{did_you_mean(name, GROUPS)}")
        if not (self.amplitude > 0 and all(a > 0 for a in self.frequency_amplitudes)):
            raise UserError("amplitude and frequency_amplitudes: expected positive numbers")
        if self.frequency_count < 2 or (self.probe_size is not None and self.probe_size < 1):
            raise UserError("expected frequency_count of 2 or more and probe_size of 1 or more (or null)")

    def plain(self) -> dict[str, Any]:
        plain = super().plain()
        if self.perturbation not in ("solve", "random") or self.model not in PERTURBED:
            plain["perturbation_size"] = None
        return plain


# --- a run ---


def work(folders: list[RunFolder], control: Control) -> None:
    """Trains and probes each run."""
    for folder in folders:
        config = build(RobustnessConfig, folder.config, where=str(folder.path))
        _run(config, folder, control)


def _run(config: RobustnessConfig, folder: RunFolder, control: Control) -> None:
    data = place(load_splits(config), torch.device(control.device))
    perturbation = checked_perturbation(config, config.perturbation_size)
    model = build_model(config, data.splits, perturbation).to(data.device)
    spike = Probe("spike", "fourier", "layers", FourierMode(last_spike(config.n), config.amplitude))
    evaluators = {
        "val": evaluation(data, data.splits.val, config),
        "test": evaluation(data, data.splits.test, config),
        "noisy": evaluation(data, data.splits.test, config, _around(spike, data.splits)),
    }
    fitted = train(config, model, data, folder, control, evaluators)
    few = first(data.splits.test, config.probe_size)
    rows = []
    for probe in probes(config.noise, config.n, config.frequency_count, config.frequency_amplitudes):
        if control.stop():
            raise Interrupted
        measured = evaluation(data, few, config, _around(probe, data.splits))(model)
        named = {"group": probe.group, "kind": probe.kind, "omega": probe.omega, "level": probe.level}
        rows.append({**named, **measured})
    folder.finish(
        {
            **outcome(model, fitted),
            "omega": last_spike(config.n),
            "cond": None if perturbation is None else perturbation.cond,
            "size": None if perturbation is None else perturbation.size,
            "probe_examples": len(few),
            "probes": rows,
        }
    )


def _around(probe: Probe, splits: Splits):
    """Returns what puts a probe's noise around a model."""

    def around(model: nn.Module) -> AbstractContextManager:
        if probe.noise is None:
            return nullcontext()
        if probe.place == "layers":
            return injected(layer_steps(model), probe.noise, NOISE_SEED)
        return injected([(model, input_steps(splits.d_input, middle_step()))], probe.noise, NOISE_SEED)

    return around


# --- the sweep ---


def main(argv: Sequence[str] | None = None) -> int:
    """The command line of `robustness.py`; returns its exit code."""
    where = CONFIGS / "robustness.yaml"
    args = _parser(load_yaml(where)).parse_args(argv)
    options = (*KEPT, "models", "perturbation", "residual", "noise")
    keys = settings(args, where, options)
    models = keys.pop("models")
    if args.as_published:
        keys["states"] = "all"
    models = [models] if isinstance(models, str) else models
    runs = [_make_run(keys, model, seed, str(where)) for seed in args.seeds for model in models]
    return run_all(runs, RobustnessConfig, module("experiments.robustness:work"), args, report.report)


def _parser(defaults: dict[str, Any]) -> SuggestingParser:
    parser = SuggestingParser(
        prog="robustness.py",
        description="S4D against S4-PTD under noise at test time (arXiv 2310.01698, Section 5.2)",
        examples=EXAMPLES,
    )
    add_published_arguments(parser, defaults)
    parser.add_argument("--residual", action="store_true", default=None, help="add the residual sum that is not there")
    parser.add_argument(
        "--models",
        type=model_list,
        metavar="LIST",
        help=f"of s4d, s4-ptd, s4, s5, s5-ptd (default: {','.join(defaults['models'])})",
    )
    parser.add_argument(
        "--perturbation",
        metavar="FILE|rank1|solve|random",
        help=f"E of the PTD models; rank1 is S4D (default: {defaults['perturbation']})",
    )
    parser.add_argument(
        "--noise",
        type=noise_groups,
        metavar="LIST",
        help=f"probes after the last epoch: all, none, or some of {', '.join(GROUPS)} (default: all)",
    )
    add_common_arguments(parser, project_name="robustness")
    add_report_arguments(parser)
    return parser


def noise_groups(text: str) -> tuple[str, ...]:
    """Returns the groups of a comma-separated list, or of the words all and none."""
    if text in ("all", "none"):
        return GROUPS if text == "all" else ()
    return tuple(text.split(","))


def _make_run(keys: dict[str, Any], model: str, seed: int, where: str) -> Run:
    config = build(RobustnessConfig, {**keys, "model": model, "seed": seed, "perturbation_hash": None}, where)
    plain = config.plain()
    if config.model in PERTURBED:
        if config.perturbation is None:
            raise UserError(f"{model} needs a perturbation: a .mat or .npz file, rank1, solve or random")
        found = find_perturbation(config.perturbation, config.n, config.perturbation_size)
        plain["perturbation_hash"] = content_hash(found)
    return Run(EXPERIMENT, plain, f"{model} {config.dataset} seed={seed}")
