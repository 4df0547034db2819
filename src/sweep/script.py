"""What every sweep script does with its runs: list them, or do them as the common options say, then report."""

import argparse
import sys
import traceback
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import Protocol

from ..cost import Shorter, StepCost, cost_line
from ..errors import EXIT_FAILED, UserError
from .devices import contention, count_workers, describe_slots, is_gpu, make_slots, pick_devices, threads_of
from .ledger import SweepOutcome
from .lock import check_writable
from .run import Run
from .survey import Survey, survey
from .sweep import run_sweep


class Page(Protocol):
    """A page about the runs of a folder."""

    path: Path

    def refresh(self) -> None:
        """Brings it up to date where that is due; returns soon."""

    def write(self) -> bool:
        """Brings it up to date; tells whether there is one."""


def run_script(
    runs: list[Run],
    work: str,
    args: argparse.Namespace,
    *,
    steps: Callable[[Run], int],
    report: Callable[[Path], str],
    page: Page,
    devices: list[str] | None = None,
    group: Callable[[Run], Hashable] | None = None,
    wandb: str | None = None,
    cost: Callable[[Run], StepCost] | None = None,
    alike: Callable[[Run], Hashable] = lambda run: run.key,
    shorter: Shorter | None = None,
) -> int:
    """Does `runs`, prints how they ended and their report, and returns the exit code of the script.

    Args:
        runs: of one experiment.
        args: holds the options of `add_common_arguments`.
        report: given the experiment's folder, writes its report and returns the text to print.
        page: kept up to date while the runs go on, and written at the end.
        devices: default: what --device and --gpus say; the workers on them are as many as `count_workers` says.
        group: runs of equal value are one job on a GPU; on a CPU each run is a job.
        wandb: the W&B mode; default: what --wandb says.
        cost: measures a step of a run on the CPU of this machine; once for all runs that `alike` gives the same value.
        shorter: the words that shorten the runs, for the line about their cost.

    Other arguments as in `run_sweep`, and so are the errors.
    """
    devices = devices or pick_devices(args.device, args.gpus, args.launcher)
    workers = count_workers(devices, args.num_cpus, args.runs_per_gpu)
    todo = survey(runs, args.out)
    busy = contention(workers * threads_of(make_slots(devices, workers), args.launcher, args.threads))
    if todo.left:
        if not args.dry_run:
            check_writable(Path(args.out))
        if busy:
            print(busy, flush=True)
    if args.dry_run:
        print("\n".join([*todo.lines(), f"{len(runs)} runs: {todo.summary()}"]))
        print(describe_slots(make_slots(devices, workers), args.launcher, args.threads), flush=True)
    if cost is not None and devices == ["cpu"]:
        say_cost(todo, steps, cost, alike, workers, shorter)
    if args.dry_run:
        return 0
    outcome = run_sweep(
        runs,
        work,
        out=args.out,
        workers=workers,
        devices=devices,
        steps=steps,
        group=group if is_gpu(devices[0]) else None,
        launcher=args.launcher,
        retry_failed=args.retry_failed,
        wandb=wandb or args.wandb,
        wandb_project=args.project_name,
        watch=page.refresh,
        threads_per_worker=args.threads,
    )
    return say_outcome(outcome, args.out, lambda: report(Path(args.out) / runs[0].experiment), page)


def say_cost(
    todo: Survey,
    steps: Callable[[Run], int],
    cost: Callable[[Run], StepCost],
    alike: Callable[[Run], Hashable],
    workers: int,
    shorter: Shorter | None,
) -> None:
    """Measures a step of the runs that are left and prints what all of them will cost; nothing where none is left."""
    left = {run: max(1, steps(run) - (status.step or 0)) for run, status in todo.left}
    if not left:
        return
    measured: dict[Hashable, StepCost] = {}
    try:
        for run in left:
            if alike(run) not in measured:
                measured[alike(run)] = cost(run)
    except (MemoryError, RuntimeError, UserError) as error:  # the run will say so again, and fail or not by itself
        first_line = (str(error).strip().splitlines() or [type(error).__name__])[0]
        print(
            f"cost: {len(left)} runs, {sum(left.values()):,} steps; a step cannot be measured here ({first_line[:120]})"
        )
        return
    print(cost_line([measured[alike(run)] for run in left], list(left.values()), workers, shorter), flush=True)


def say_outcome(outcome: SweepOutcome, out: str | Path, report: Callable[[], str], page: Page) -> int:
    """Prints how the runs of a sweep ended, their report and the page about all runs.

    Returns the exit code, which is that of the runs whatever their report meets.
    """
    print(outcome.report(out))
    try:
        if outcome.done or outcome.skipped:
            print(report())
        if page.write():
            print(f"All runs: {page.path}")
    except (UserError, OSError) as error:
        print(f"no report: {error}", file=sys.stderr)
        return outcome.exit_code or EXIT_FAILED
    except Exception:  # a defect of the report; the runs have ended as they have
        traceback.print_exc()
        return outcome.exit_code or EXIT_FAILED
    return outcome.exit_code
