"""`python -m src.linalg.ptd`: solve for a perturbation and write it to a file, or draw the surface of size, cond and distance."""

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

from ...config.command_line import SuggestingParser
from ...errors import UserError, run_door
from ...files import check_file
from ...resources import command
from ...tables import Table
from . import frontier, surface
from .files import SUFFIXES, save_perturbation
from .perturbation import Perturbation
from .solver import solve
from .spec import NORMS, OBJECTIVES, Spec, default_size

MAX_STATES = 1024  # an eigendecomposition of more takes seconds, and a solve takes thousands of them
EXAMPLES = (
    "{} --n 32 --out ptb32.mat",
    "{} --n 32 --size 0.01 --mu 0.5 --out ptb32.mat",
    "{} --n 32 --objective cond --out ptb32.mat",
    "{} --n 32 --gamma 1 --out ptb32.mat",
    "{} --n 32 --objective published --delta 1e4",
    "{} --n 32 --frontier --out frontier32",
)


def parser() -> SuggestingParser:
    """Returns the command line's parser."""
    name = command("linalg.ptd")
    p = SuggestingParser(
        prog=name,
        description="Perturb-then-diagonalise HiPPO-LegS, A + E = V Lambda V^-1: a small E with well-conditioned V that stays near S4.",
        examples=[example.format(name) for example in EXAMPLES],
    )
    add = p.add_argument
    add("--n", type=_states, required=True, metavar="N", help="number of states")
    add("--objective", choices=OBJECTIVES, help="distance: log cond + mu log d_worst; cond: cond alone, as in earlier versions "
        "(default: distance, or cond with --gamma or --norm frobenius)")  # fmt: skip
    add("--size", type=float, metavar="X", help="largest ||E|| / ||A|| (default: the published one for this n)")
    add("--mu", type=float, metavar="X", help="weight of the distance from S4 (default: 0.3, beyond n = 16 4.8 / n)")
    add("--gamma", type=float, metavar="X", help="instead of --size: minimise cond + gamma ||E||")
    add("--delta", type=float, metavar="X", help="with --objective published: minimise cond^2 + delta ||E||_F")
    add("--norm", choices=NORMS, default="spectral", help="of the size (default: spectral)")
    add("--complex", action="store_true", help="a complex E (always so with --objective published)")
    add("--any-spectrum", action="store_true", help="let conjugate pairs of eigenvalues become real ones")
    add("--margin", type=float, metavar="X", help="keep Re(lambda) <= -margin (default: 0.6 with a distance, else 0.5)")
    add("--seed", type=_seed, default=0, metavar="K", help="of what is random: complex starts, baseline (default: 0)")
    add("--out", type=Path, metavar="FILE", help=".mat or .npz file; with --frontier the stem of a .csv and a .png")
    add("--frontier", action="store_true", help="cond against distance for several sizes and mu: table, CSV and PNG; "
        "with --objective cond: cond against size, beside random E")  # fmt: skip
    add("--sizes", type=float, nargs="+", metavar="X", help="the sizes of --frontier")
    add("--quiet", action="store_true", help="no progress on stderr")
    return p


def main(argv: list[str] | None = None) -> int:
    """Runs the command line; returns 1 when the solver stopped before it converged."""
    args = parser().parse_args(argv)
    spec = _spec(args)
    if args.frontier:
        return _frontier(args, spec)
    if args.sizes is not None:
        raise UserError("--sizes belongs to --frontier; for one solution: --size")
    if args.out is not None:
        check_file(args.out, SUFFIXES)
    begin, begin_cpu = time.perf_counter(), time.process_time()
    found = solve(spec, progress=None if args.quiet else _to_stderr)
    seconds, cpu = time.perf_counter() - begin, time.process_time() - begin_cpu
    print(f"{_summary(found)}  {seconds:.1f} s ({cpu:.1f} s CPU)")
    if args.out is not None:
        save_perturbation(args.out, found)
        print(f"written: {args.out}")
    return 0 if found.converged else 1


def _spec(args: argparse.Namespace) -> Spec:
    objective = args.objective or ("cond" if args.gamma is not None or args.norm != "spectral" else "distance")
    published = objective == "published"
    if args.frontier and (args.size or args.mu or args.gamma or args.delta or published or args.norm != "spectral"):
        raise UserError(
            "--frontier solves for --sizes in the spectral norm; leave out --size, --mu, --gamma, --delta, --norm"
        )
    size = args.size
    if not published and size is None and args.gamma is None and args.delta is None:
        size = default_size(args.n)
    return Spec(
        n=args.n,
        objective=objective,
        size=size,
        mu=args.mu,
        gamma=args.gamma,
        delta=args.delta,
        norm=args.norm,
        real=not (args.complex or published),
        pairs=not args.any_spectrum,
        margin=args.margin,
        seed=args.seed,
    )


def _frontier(args: argparse.Namespace, spec: Spec) -> int:
    for size in args.sizes or ():
        if not 0 < size < float("inf"):
            raise UserError(f"--sizes must be positive numbers, got {size}")
    if args.out is not None:
        for suffix in (".csv", ".png"):
            check_file(args.out.with_name(args.out.name + suffix), (suffix,))
    progress = None if args.quiet else _to_stderr
    if spec.objective == "cond":
        points = frontier.frontier(spec, args.sizes or frontier.SIZES, progress)
        _write(args.out, frontier.table(points), lambda path: frontier.write_png(path, points))
    else:
        points = surface.surface(spec, args.sizes or surface.default_sizes(spec.n), progress=progress)
        _write(args.out, surface.table(points), lambda path: surface.write_png(path, points))
    return 0 if all(point.converged in (True, None) for point in points) else 1


def _write(stem: Path | None, table: Table, write_png: Callable[[Path], None]) -> None:
    print(table.text())
    if stem is None:
        return
    stem.parent.mkdir(parents=True, exist_ok=True)
    for suffix, write in ((".csv", lambda path: path.write_text(table.csv())), (".png", write_png)):
        path = stem.with_name(stem.name + suffix)
        write(path)
        print(f"written: {path}")


def _summary(found: Perturbation) -> str:
    return (
        f"n {found.n}  cond(V) {found.cond:.4f}  ||E||_2/||A||_2 {found.size:.5f}  "
        f"||E||_F/||A||_F {found.size_frobenius:.5f}  max Re {found.max_real:.4f}  "
        f"d_worst {found.d_worst:.3g}  d_e0 {found.d_e0:.3g}  "
        f"iterations {found.iterations}  {'converged' if found.converged else 'NOT converged'}"
    )


def _states(text: str) -> int:
    return _whole(text, "a number of states", 1, MAX_STATES)


def _seed(text: str) -> int:
    return _whole(text, "a seed", 0, 2**32 - 1)


def _whole(text: str, what: str, low: int, high: int) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 12 and low <= int(text) <= high):
        raise argparse.ArgumentTypeError(f"'{text[:20]}' is not {what}; expected a whole number from {low} to {high}")
    return int(text)


def _to_stderr(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    run_door(main)
