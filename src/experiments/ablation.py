"""The ablation (P1 = arXiv 2310.01698, Section 5.3, Fig. 3c): how large should the perturbation E of S4-PTD be?

`ablation.py` is the door. Each weight delta of the solver's objective (or each size asked for) gives one E, solved once and cached; a
run trains S4-PTD with it, with a random E of the same size, or one of the baselines S4D (E = P P^T) and S4 (E = 0, not diagonalised).
Eigenvalues of a random or published E that are not stable are reflected, Re -> -|Re|, as the published code does; `max_real` tells.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch

from ..config import build, load_yaml
from ..errors import UserError
from ..linalg.ptd import Perturbation, Spec, random_perturbation, solve_cached
from ..report import ablation as report
from ..report.options import add_report_arguments
from ..resources import module
from ..sweep import Control, Run, RunFolder
from ..sweep.cli import SuggestingParser, add_common_arguments
from .classify.data import place
from .ptd_options import (
    CONFIGS,
    KEPT,
    add_published_arguments,
    content_hash,
    settings,
)
from .ptd_training import ClassifierConfig, build_model, evaluation, load_splits, outcome, run_all, train

EXPERIMENT = report.PREFIX
KINDS = ("optimised", "cond", "random")  # cond: optimised for the condition number alone
EXAMPLES = (
    "python ablation.py --dataset digits --epochs 20 --d_model 32 --n_layers 2 --size 0.3,0.1,0.03,0.01,0.003",
    "python ablation.py --delta 1,100,1e4,1e6 --objective published",
    "python ablation.py --epochs 200 --delta 1 --batch_size 64 --n_layers 6 --d_model 512 --weight_decay 0.01 --dropout 0.1",
)


@dataclass(frozen=True, kw_only=True)
class AblationConfig(ClassifierConfig):
    """Keys of configs/ablation.yaml, for one run: `perturbation` is a kind, `delta` or `size` says which E."""

    objective: Literal["ours", "published"]
    delta: float | None
    size: float | None
    solver_lr: float
    solver_iterations: int

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.perturbation not in (None, *KINDS):
            raise UserError(f"perturbations: '{self.perturbation}' is none of {', '.join(KINDS)}")
        if self.size is not None and self.objective == "published":
            raise UserError("the published objective takes --delta; a size is for --objective ours")

    def plain(self) -> dict[str, Any]:
        plain = super().plain()
        if self.model != "s4-ptd":
            plain |= {"delta": None, "size": None}
        return plain

    def spec(self) -> Spec:
        """The solver's problem; `UserError` for a delta or size out of range."""
        if self.objective == "published":
            options = {"real": False, "lr": self.solver_lr, "max_iterations": self.solver_iterations}
            return Spec(n=self.n, objective="published", delta=self.delta, **options)
        if self.size is None:
            return Spec(n=self.n, objective="cond", gamma=self.delta)
        return Spec(n=self.n, objective="cond" if self.perturbation == "cond" else "distance", size=self.size)

    def solved(self) -> Perturbation | None:
        """Returns the E of a run: the solution (from the cache when it was solved before) or a random one of its size; None for S4."""
        if self.perturbation is None:
            return None
        found = solve_cached(self.spec(), _say)
        return found if self.perturbation != "random" else random_perturbation(self.n, found.size, self.seed)


def _say(line: str) -> None:
    print(f"solver: {line}", flush=True)


# --- a run ---


def work(folders: list[RunFolder], control: Control) -> None:
    """Trains each run."""
    for folder in folders:
        config = build(AblationConfig, folder.config, where=str(folder.path))
        _run(config, folder, control)


def _run(config: AblationConfig, folder: RunFolder, control: Control) -> None:
    data = place(load_splits(config), torch.device(control.device))
    found = config.solved()
    if found is not None and content_hash(found) != config.perturbation_hash:
        raise UserError("the solver gave another E here than where this run was planned; copy its cache folder over")
    model = build_model(config, data.splits, found).to(data.device)
    evaluators = {
        "val": evaluation(data, data.splits.val, config),
        "test": evaluation(data, data.splits.test, config),
    }
    fitted = train(config, model, data, folder, control, evaluators)
    folder.finish(
        {
            **outcome(model, fitted),
            **_figures(found),
        }
    )


def _figures(found: Perturbation | None) -> dict[str, Any]:
    names = ("size", "size_frobenius", "cond", "max_real", "converged")
    return {f"E_{name}": None if found is None else getattr(found, name) for name in names}


# --- the sweep ---


def main(argv: Sequence[str] | None = None) -> int:
    """The command line of `ablation.py`; returns its exit code."""
    where = CONFIGS / "ablation.yaml"
    args = _parser(load_yaml(where)).parse_args(argv)
    keys = settings(args, where, (*KEPT, "delta", "size", "objective"))
    if args.delta is not None and args.size is not None:
        raise UserError("give --delta or --size, not both: a size is reached whatever its delta is")
    if args.as_published:
        keys |= {"objective": "published", "states": "merged", "solver_lr": 1e-5, "solver_iterations": 100_000}
    keys["ssm_lr"] = min(keys["ssm_lr"], keys["lr"])
    runs = make_runs(keys, args.seeds, str(where))
    return run_all(runs, AblationConfig, module("experiments.ablation:work"), args, report.report)


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


def make_runs(keys: dict[str, Any], seeds: Sequence[int], where: str) -> list[Run]:
    """Returns the runs of a sweep, for each seed: the baselines, then every kind of perturbation at every delta or size.

    Solves each E once, so that it is in the cache before the workers start.
    """
    keys = dict(keys)
    deltas, sizes, kinds, baselines = (_listed(keys.pop(k)) for k in ("delta", "size", "perturbations", "baselines"))
    targets = [{"delta": None, "size": s} for s in sizes] or [{"delta": d, "size": None} for d in deltas]
    points = [{"model": model, "perturbation": None, "delta": None, "size": None} for model in baselines]
    points += [{"model": "s4-ptd", "perturbation": kind, **target} for target in targets for kind in kinds]
    blank = {"perturbation_hash": None}
    configs = [build(AblationConfig, {**keys, **point, **blank, "seed": s}, where) for s in seeds for point in points]
    for config in configs:
        if config.perturbation is not None:
            config.spec()  # all targets are checked before the first is solved
    return [_planned(config) for config in configs]


def _listed(value: Any) -> list[Any]:
    return [] if value is None else list(value) if isinstance(value, (list, tuple)) else [value]


def _planned(config: AblationConfig) -> Run:
    plain = config.plain()
    found = config.solved()
    plain["perturbation_hash"] = None if found is None else content_hash(found)
    of_E = f" {config.perturbation} ||E||/||A||={found.size:.3g}" if found else ""
    return Run(EXPERIMENT, plain, f"{config.model}{of_E} {config.dataset} seed={config.seed}")
