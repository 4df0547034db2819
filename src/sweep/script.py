"""What every sweep script does with its runs: list them, or do them as the common options say, then report."""

import argparse
import sys
import traceback
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import Protocol

from ..errors import EXIT_FAILED, UserError
from .devices import count_workers, describe_slots, is_gpu, make_slots, pick_devices
from .ledger import SweepOutcome
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
    estimate: Callable[[Survey], str] = lambda todo: "",
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
        estimate: a line about the time that a dry run adds.

    Other arguments as in `run_sweep`, and so are the errors.
    """
    devices = devices or pick_devices(args.device, args.gpus, args.launcher)
    workers = count_workers(devices, args.num_cpus, args.runs_per_gpu)
    if args.dry_run:
        todo = survey(runs, args.out)
        placement = describe_slots(make_slots(devices, workers), args.launcher)
        lines = [*todo.lines(), f"{len(runs)} runs: {todo.summary()}", placement, estimate(todo)]
        print("\n".join(line for line in lines if line))
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
    )
    return say_outcome(outcome, args.out, lambda: report(Path(args.out) / runs[0].experiment), page)


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
