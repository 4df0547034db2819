"""`python -m src.linalg.ptd`: solve for a perturbation and write it to a file, or draw the frontier."""

import argparse
import sys
import time
from pathlib import Path

from ...errors import UserError, run_door
from .files import save_perturbation
from .frontier import SIZES, frontier, table, write_csv, write_png
from .perturbation import Perturbation
from .solver import solve
from .spec import NORMS, OBJECTIVES, Spec, default_size

EXAMPLES = """examples:
  python -m src.linalg.ptd --n 32 --size 0.0379 --out ptb32.mat
  python -m src.linalg.ptd --n 32 --gamma 1 --out ptb32.mat
  python -m src.linalg.ptd --n 32 --objective published --delta 1e4
  python -m src.linalg.ptd --n 32 --frontier --out frontier32"""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> None:
        raise UserError(f"{message}; see python -m src.linalg.ptd --help")


def parser() -> argparse.ArgumentParser:
    """Returns the command line's parser."""
    p = _Parser(
        prog="python -m src.linalg.ptd",
        description="Perturb-then-diagonalise HiPPO-LegS: minimise cond(V) against ||E|| in A + E = V Lambda V^-1.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.add_argument("--n", type=int, required=True, help="number of states")
    p.add_argument("--size", type=float, help="largest ||E|| / ||A|| (default: the published one for this n)")
    p.add_argument("--gamma", type=float, help="instead of --size: minimise cond + gamma ||E||")
    p.add_argument("--delta", type=float, help="with --objective published: minimise cond^2 + delta ||E||_F")
    p.add_argument("--objective", default="cond", help=f"one of: {', '.join(OBJECTIVES)} (default: cond)")
    p.add_argument("--norm", default="spectral", help=f"one of: {', '.join(NORMS)} (default: spectral)")
    p.add_argument("--complex", action="store_true", help="a complex E (always so with --objective published)")
    p.add_argument("--any-spectrum", action="store_true", help="let conjugate pairs of eigenvalues become real ones")
    p.add_argument("--margin", type=float, default=Spec.margin, help="keep Re(lambda) <= -margin (default %(default)s)")
    p.add_argument("--seed", type=int, default=0, help="of what is random: complex starts, baseline (default: 0)")
    p.add_argument("--out", type=Path, help=".mat or .npz file; with --frontier the stem of a .csv and a .png")
    p.add_argument("--frontier", action="store_true", help="solve for a range of sizes: table, CSV and PNG")
    p.add_argument("--sizes", type=float, nargs="+", default=SIZES, help="the sizes of --frontier")
    p.add_argument("--quiet", action="store_true", help="no progress on stderr")
    return p


def main(argv: list[str] | None = None) -> int:
    """Runs the command line; returns 1 when the solver stopped before it converged."""
    args = parser().parse_args(argv)
    spec = _spec(args)
    if args.frontier:
        return _frontier(args, spec)
    if args.out is not None and args.out.suffix not in (".mat", ".npz"):
        raise UserError(f"cannot write '{args.out}': the name must end in .mat or .npz")
    begin, begin_cpu = time.perf_counter(), time.process_time()
    found = solve(spec, progress=None if args.quiet else _to_stderr)
    seconds, cpu = time.perf_counter() - begin, time.process_time() - begin_cpu
    print(f"{_summary(found)}  {seconds:.1f} s ({cpu:.1f} s CPU)")
    if args.out is not None:
        save_perturbation(args.out, found)
        print(f"written: {args.out}")
    return 0 if found.converged else 1


def _spec(args: argparse.Namespace) -> Spec:
    published = args.objective == "published"
    if args.frontier and (args.size or args.gamma or args.delta or published or args.norm != "spectral"):
        raise UserError(
            "--frontier solves for --sizes in the spectral norm; leave out --size, --gamma, --delta, --norm"
        )
    size = args.size
    if args.objective == "cond" and size is None and args.gamma is None and args.delta is None and args.n > 0:
        size = default_size(args.n)
    return Spec(
        n=args.n,
        objective=args.objective,
        size=size,
        gamma=args.gamma,
        delta=args.delta,
        norm=args.norm,
        real=not (args.complex or published),
        pairs=not args.any_spectrum,
        margin=args.margin,
        seed=args.seed,
    )


def _frontier(args: argparse.Namespace, spec: Spec) -> int:
    for size in args.sizes:
        if not 0 < size < float("inf"):
            raise UserError(f"--sizes must be positive numbers, got {size}")
    points = frontier(spec, args.sizes, None if args.quiet else _to_stderr)
    print(table(points))
    if args.out is not None:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        for suffix, write in ((".csv", write_csv), (".png", write_png)):
            path = args.out.with_name(args.out.name + suffix)
            write(path, points)
            print(f"written: {path}")
    return 0 if all(point.converged for point in points) else 1


def _summary(found: Perturbation) -> str:
    return (
        f"n {found.n}  cond(V) {found.cond:.4f}  ||E||_2/||A||_2 {found.size:.5f}  "
        f"||E||_F/||A||_F {found.size_frobenius:.5f}  max Re {found.max_real:.4f}  "
        f"iterations {found.iterations}  {'converged' if found.converged else 'NOT converged'}"
    )


def _to_stderr(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    run_door(main)
