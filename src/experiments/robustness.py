"""The robustness experiment (P1 = arXiv 2310.01698, Section 5.2, Fig. 3a, b): S4D against S4-PTD under noise that the model never saw.

`robustness.py` is the door. As published, A, B and dt are frozen, there is no residual, and at test time a Fourier mode at the last
spike of S4D's transfer function enters every SSM layer. A run trains one model with one seed, measures clean validation, clean test
and noisy test accuracy after every epoch, and is probed with the other noises at its end.
"""

import argparse
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from ..config import build
from ..config.words import quoted
from ..errors import UserError, did_you_mean
from ..linalg.legs_transfer import last_spike
from ..report.options import add_report_arguments
from ..report.reporters import REPORTERS, ROBUSTNESS
from ..resources import module
from ..sweep import Control, Interrupted, RunFolder
from ..sweep.cli import SuggestingParser, add_common_arguments
from ..tasks.noise import FourierMode, injected
from .classify.config import parse
from .classify.points import (
    Point,
    add_published_arguments,
    asked_words,
    defaults_of,
    first_config,
    listed,
    make_runs,
    run_points,
)
from .classify.run import Around, Prepared, prepare, train, undisturbed_model
from .robustness_probes import GROUPS, Probe, input_steps, layer_steps, middle_step, probes

EXPERIMENT = ROBUSTNESS
NOISE_SEED = 20231001  # every model meets the same draws
MODELS = ("s4d", "s4-ptd", "s4", "s5", "s5-ptd")
PERTURBED = ("s4-ptd", "s5-ptd")
EXAMPLES = (
    "python robustness.py --dataset digits --epochs 30",
    "python robustness.py --models s4d,s4-ptd,s4 --seeds 2 --num_cpus 2",
    "python robustness.py --perturbation solve perturbation_size=0.1 --noise frequency,amplitude",
    "python robustness.py ssm_lr=0.001 d_model=32 n_layers=2 train_size=10000",
)


@dataclass(frozen=True, kw_only=True)
class Probing:
    """`probe` of a run's config; see `configs/robustness.yaml`."""

    amplitude: float
    noise: tuple[str, ...]
    size: int | None
    frequency_count: int
    frequency_amplitudes: tuple[float, ...]

    def __post_init__(self) -> None:
        for name in self.noise:
            if name not in GROUPS:
                raise UserError(f"noise: unknown group '{name}'{did_you_mean(name, GROUPS)}")
        if not (self.amplitude > 0 and all(a > 0 for a in self.frequency_amplitudes)):
            raise UserError("amplitude and frequency_amplitudes: expected positive numbers")
        if self.frequency_count < 2 or (self.size is not None and self.size < 1):
            raise UserError("expected frequency_count of 2 or more and probe_size of 1 or more (or null)")

    def probes(self, n: int) -> list[Probe]:
        """Returns the probes after the last epoch, of an SSM of n states."""
        return probes(self.noise, n, self.frequency_count, self.frequency_amplitudes)


# --- a run ---


def work(folders: list[RunFolder], control: Control) -> None:
    """Trains and probes each run."""
    for folder in folders:
        prepared = prepare(parse(folder.config), torch.device(control.device))
        probing, n = build(Probing, prepared.config.probe, "probe"), prepared.config.layer.d_state
        spike = Probe("spike", "fourier", "layers", FourierMode(last_spike(n), probing.amplitude))
        result = train(prepared, folder, control, disturbed={"noisy": _disturbing(prepared, spike)})
        rows = []
        for probe in probing.probes(n):
            if control.stop():
                raise Interrupted
            measured = prepared.evaluation("test", around=_disturbing(prepared, probe), size=probing.size)(
                prepared.model
            )
            named = {"group": probe.group, "kind": probe.kind, "omega": probe.omega, "level": probe.level}
            rows.append({**named, **measured})
        examples = min(probing.size or len(prepared.splits.test), len(prepared.splits.test))
        folder.finish({**result, "omega": last_spike(n), "probe_examples": examples, "probes": rows})


def _disturbing(prepared: Prepared, probe: Probe) -> Around:
    """Returns what gives a model the probe's noise."""
    d_input = prepared.splits.d_input

    def around(model: nn.Module) -> AbstractContextManager:
        if probe.noise is None:
            return undisturbed_model(model)
        at_input = [(model, input_steps(d_input, middle_step()))]
        return injected(at_input if probe.place == "input" else layer_steps(model), probe.noise, NOISE_SEED)

    return around


# --- the sweep ---


def main(argv: Sequence[str] | None = None) -> int:
    """The command line of `robustness.py`; returns its exit code."""
    args, words = _parser(defaults_of(EXPERIMENT)).parse_words(argv)
    if args.as_published:
        words = ["states=all", "weight=2", *words]
    words = asked_words(EXPERIMENT, args, words)
    base = first_config(words)
    build(Probing, base["probe"], "probe")
    runs = make_runs(EXPERIMENT, words, points(base, args.seeds), varied=("models", "perturbation"))
    return run_points(runs, module("experiments.robustness:work"), args, REPORTERS[EXPERIMENT])


def points(base: dict[str, Any], seeds: Sequence[int]) -> list[Point]:
    """Returns each model with each seed, the perturbed ones with each perturbation."""
    models = listed(base["models"])
    for model in models:
        if str(model) not in MODELS:
            raise UserError(f"models: unknown model '{model}'{did_you_mean(str(model), MODELS)}")
    perturbations = listed(base["perturbation"])
    if not perturbations and any(model in PERTURBED for model in models):
        raise UserError(
            "perturbation: null; expected a .mat or .npz file, rank1, solve, cond or random for the PTD models"
        )
    return [
        _point(model, E, seed)
        for seed in seeds
        for model in models
        for E in (perturbations if model in PERTURBED else [None])
    ]


def _point(model: str, perturbation: str | None, seed: int) -> Point:
    """A model with a seed; a random perturbation is another one for each seed."""
    words, asked = (f"model/layer=p1/{model}", f"train.seed={seed}"), {"model": model, "perturbation": perturbation}
    if perturbation is None:
        return Point({**asked, "perturbation_size": None}, words, model)
    layer = {"perturbation": quoted(perturbation), "perturbation_size": "${perturbation_size}"}
    if perturbation == "random":
        layer["perturbation_seed"] = seed
    own = (f"model.layer.{key}={value}" for key, value in layer.items())
    return Point(asked, (*words, *own), f"{model} {perturbation}")


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
        help=f"of {', '.join(MODELS)} (default: {','.join(defaults['models'])})",
    )
    parser.add_argument(
        "--perturbation",
        type=lambda text: text.split(","),
        metavar="FILE|rank1|solve|cond|random",
        help=f"E of the PTD models, one or several with commas; rank1 is S4D (default: {defaults['perturbation']})",
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


def model_list(text: str) -> tuple[str, ...]:
    """Returns the models of a comma-separated list."""
    names = tuple(text.split(","))
    for name in names:
        if name not in MODELS:
            raise argparse.ArgumentTypeError(f"unknown model '{name}'{did_you_mean(name, MODELS)}")
    return names


def noise_groups(text: str) -> tuple[str, ...]:
    """Returns the groups of a comma-separated list, or of the words all and none."""
    if text in ("all", "none"):
        return GROUPS if text == "all" else ()
    return tuple(text.split(","))
