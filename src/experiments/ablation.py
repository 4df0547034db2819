"""The ablation (P1 = arXiv 2310.01698, Section 5.3, Fig. 3c): how large should the perturbation E of S4-PTD be?

`ablation.py` is the door. Each weight delta of the solver's objective (or each size asked for) gives one E, solved once and cached; a
run trains S4-PTD with it, with a random E of the same size, or one of the baselines S4D (E = P P^T) and S4 (E = 0, not diagonalised).
Eigenvalues of a random or published E that are not stable are reflected, Re -> -|Re|, as the published code does: `E_found_*` tell of the E
that was found, `E_*` of what is trained.
"""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch

from ..config.words import key_of, quoted
from ..errors import UserError, did_you_mean
from ..report.options import add_report_arguments
from ..report.reporters import ABLATION, REPORTERS
from ..resources import module
from ..sweep import Control, Run, RunFolder
from ..sweep.cli import SuggestingParser, add_common_arguments
from .classify.config import parse
from .classify.layers import PTDLayer
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
from .classify.run import prepare, train

EXPERIMENT = ABLATION
KINDS = ("optimised", "cond", "random")  # cond: optimised for the condition number alone
BASELINES = ("s4d", "s4")
AS_PUBLISHED = {
    "objective": "published",
    "weight": 2,
    "solver_lr": 1e-5,
    "solver_iterations": 100_000,
}
VARIED = ("delta", "size", "perturbations", "baselines")
EXAMPLES = (
    "python ablation.py --dataset digits --epochs 20 --d_model 32 --n_layers 2 --size 0.3,0.1,0.03,0.01,0.003",
    "python ablation.py --delta 1,100,1e4,1e6 --objective published",
    "python ablation.py --epochs 200 --delta 1 --batch_size 64 --n_layers 6 --d_model 512 --weight_decay 0.01 --dropout 0.1",
)


# --- a run ---


def work(folders: list[RunFolder], control: Control) -> None:
    """Trains each run."""
    for folder in folders:
        prepared = prepare(parse(folder.config), torch.device(control.device))
        folder.finish(train(prepared, folder, control))


# --- the sweep ---


def main(argv: Sequence[str] | None = None) -> int:
    """The command line of `ablation.py`; returns its exit code."""
    args, words = _parser(defaults_of(EXPERIMENT)).parse_words(argv)
    if args.delta is not None and args.size is not None:
        raise UserError("give --delta or --size, not both: a size is reached whatever its delta is")
    words = asked_words(EXPERIMENT, args, words)
    runs = plan_runs(words, args.seeds, args.as_published)
    return run_points(runs, module("experiments.ablation:work"), args, REPORTERS[EXPERIMENT])


def plan_runs(words: Sequence[str], seeds: Sequence[int], as_published: bool = False) -> list[Run]:
    """Returns the runs that the words ask for.

    Raises:
        UserError: an impossible word or combination.
    """
    head, *own = words
    if as_published:
        own = [*(f"{key}={quoted(value)}" for key, value in AS_PUBLISHED.items()), *own]
    base = first_config([head, *own])
    rates = (base["ssm_lr"], base["lr"])
    are_numbers = all(isinstance(rate, (int, float)) for rate in rates)  # what else they are is refused with the config
    if "ssm_lr" not in map(key_of, own) and are_numbers and rates[0] > rates[1]:
        own = [*own, f"ssm_lr={base['lr']}"]
    make_runs(EXPERIMENT, [head, *own], [_baseline("s4", 0)], VARIED)  # what is wrong is said before anything is solved
    return make_runs(EXPERIMENT, [head, *own], points(base, seeds), VARIED)


def points(base: dict[str, Any], seeds: Sequence[int]) -> list[Point]:
    """Returns, for each seed, the baselines, then every kind of perturbation at every delta or size.

    Solves each E once, so that it is in the cache before the workers start.
    """
    kinds, baselines = listed(base["perturbations"]), listed(base["baselines"])
    for name, chosen, known in (("perturbations", kinds, KINDS), ("baselines", baselines, BASELINES)):
        for value in chosen:
            if value not in known:
                raise UserError(f"{name}: unknown '{value}'{did_you_mean(str(value), known)}")
    solvers = _solvers(base) if kinds else []
    found: list[Point] = []
    for seed in seeds:
        found += [_baseline(model, seed) for model in baselines]
        found += [_perturbed(kind, solver, seed) for solver in solvers for kind in kinds]
    return found


def _solvers(base: dict[str, Any]) -> list[PTDLayer]:
    """A layer for each delta or size, whose E is the solution; all are checked before the first is solved."""
    sizes, deltas = listed(base["size"]), listed(base["delta"])
    if sizes and base["objective"] == "published":
        raise UserError("the published objective takes --delta; a size is for --objective ours")
    targets = [{"perturbation_size": _number("size", size)} for size in sizes]
    targets = targets or [{"delta": _number("delta", delta)} for delta in deltas]
    options = {name: base[name] for name in ("objective", "solver_lr", "solver_iterations")}
    layers = [PTDLayer(d_state=base["n"], perturbation="solve", **options, **target) for target in targets]
    for layer in layers:
        layer.check_target()
    return layers


def _number(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise UserError(f"{name}: expected numbers, got {value!r}")
    return float(value)


def _baseline(model: str, seed: int) -> Point:
    words = (f"model/layer=p1/{model}", f"train.seed={seed}")
    return Point({"model": model, "perturbation": None, "delta": None, "size": None}, words, model)


def _perturbed(kind: str, solver: PTDLayer, seed: int) -> Point:
    """S4-PTD with a solution, or with a random E of its size."""
    if kind == "cond" and solver.perturbation_size is not None:
        solver = replace(solver, perturbation="cond")  # a delta is of that objective anyway
    found = solver.find(_say)
    if kind == "random":
        layer = {"perturbation": "random", "perturbation_size": found.size, "perturbation_seed": seed}
    else:
        names = ("perturbation", "perturbation_size", "delta", "objective", "solver_lr", "solver_iterations")
        layer = {name: getattr(solver, name) for name in names}
    words = (f"model.layer.{name}={quoted(value)}" for name, value in layer.items())
    asked = {"model": "s4-ptd", "perturbation": kind, "delta": solver.delta, "size": solver.perturbation_size}
    label = f"s4-ptd {kind} ||E||/||A||={found.size:.3g}"
    return Point(asked, ("model/layer=p1/s4-ptd", *words, f"train.seed={seed}"), label)


def _say(line: str) -> None:
    print(f"solver: {line}", flush=True)


def _parser(defaults: dict[str, Any]) -> SuggestingParser:
    parser = SuggestingParser(
        prog="ablation.py",
        description="S4-PTD for several sizes of the perturbation (arXiv 2310.01698, Section 5.3)",
        examples=EXAMPLES,
    )
    add_published_arguments(parser, defaults)
    parser.add_argument(
        "--delta",
        type=number_list,
        metavar="LIST",
        help="weights of ||E|| in the solver's objective: larger ones give smaller E (default: 1)",
    )
    parser.add_argument(
        "--size", type=number_list, metavar="LIST", help="sizes ||E||/||A_H|| to solve for, instead of --delta"
    )
    parser.add_argument(
        "--objective",
        choices=("ours", "published"),
        help="ours: cond(V) + delta ||E||; published: cond(V)^2 + delta ||E||_F (default: ours)",
    )
    add_common_arguments(parser, project_name="ablation")
    add_report_arguments(parser)
    return parser


def number_list(text: str) -> list[float]:
    """Returns the numbers of a comma-separated list."""
    try:
        return [float(word) for word in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected numbers such as 1 or 1,100,1e4, got '{text}'") from None
