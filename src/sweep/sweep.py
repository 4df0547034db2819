"""A sweep from its list of runs to its outcome: skip what is done, do the rest in workers."""

import contextlib
from collections import defaultdict
from collections.abc import Callable, Generator, Hashable
from pathlib import Path

from ..errors import UserError, did_you_mean
from ..stop import StopSignals
from ..tracking import environment
from ..tracking.wandb_choice import choose_wandb
from .devices import make_slots, threads_of
from .job import Job, Message, Settings
from .ledger import Ledger, SweepOutcome
from .lock import check_writable
from .pool import run_in_processes
from .run import Run

LAUNCHERS = ("process", "ray")
_STOP_WORDS = ("saving the state of the runs (once more to kill them)", "killing the runs")


def run_sweep(
    runs: list[Run],
    work: str,
    *,
    out: str | Path,
    workers: int,
    steps: Callable[[Run], int],
    devices: list[str] | None = None,
    group: Callable[[Run], Hashable] | None = None,
    launcher: str = "process",
    retry_failed: bool = False,
    wandb: str = "auto",
    wandb_project: str | None = None,
    threads_per_worker: int | None = None,
    watch: Callable[[], None] = lambda: None,
) -> SweepOutcome:
    """Does all runs that are not done and returns how each ended.

    Args:
        work: "package.module:function", called in a worker as `work(folders, control)`. It ends each folder with
            `finish` or `fail`, or it raises: `Interrupted` after saving the state when `control.stop()` is true; any
            other exception fails the runs that it has not ended.
        workers: worker processes; worker i computes on `devices[i % len(devices)]` (default: all on the CPU); see `count_workers`.
        steps: the number of steps of a run, for the progress line.
        group: runs of equal value go to one call of `work` together, as few as leave no worker idle and in smaller parts where they do
            not fit in memory; None gives each run its own.
        launcher: "process" (this machine) or "ray" (a cluster, or a local one that is started).
        retry_failed: runs that failed earlier are done again from their checkpoint instead of being reported.
        wandb: auto, online, offline or disabled; `wandb_project` names the project.
        threads_per_worker: default: as `threads_of` says.
        watch: called several times a second while runs go on; it must return soon.

    Raises:
        UserError: the folder cannot be used, or the launcher or W&B mode is not to be had. Nothing was started then.
    """
    if launcher not in LAUNCHERS:
        raise UserError(f"launcher '{launcher}' is unknown{did_you_mean(launcher, LAUNCHERS)}")
    out, runs = Path(out), list(dict.fromkeys(runs))
    ledger = Ledger(out, runs, retry_failed)
    if not ledger.pending:
        return ledger.outcome
    check_writable(out)
    settings = Settings(work, out, environment(), retry_failed, choose_wandb(wandb, wandb_project))
    jobs = make_jobs(ledger.pending, group, workers)
    slots = make_slots(devices or ["cpu"], min(workers, len(jobs)))
    threads = threads_of(slots, launcher, threads_per_worker)
    with (
        StopSignals(*_STOP_WORDS) as signals,
        contextlib.closing(_launch(launcher, jobs, settings, slots, threads, signals.level)) as messages,
    ):
        ledger.follow(messages, steps, signals.level, watch)
    return ledger.outcome


def make_jobs(runs: list[Run], group: Callable[[Run], Hashable] | None, workers: int) -> list[Job]:
    """Returns one job a run, or one a group, in the order of their first runs.

    The largest groups are halved until every worker has a job.
    """
    members: dict[Hashable, list[Run]] = defaultdict(list)
    for run in runs:
        members[run.key if group is None else group(run)].append(run)
    parts = list(members.values())
    while len(parts) < min(workers, len(runs)):
        largest = max(range(len(parts)), key=lambda i: len(parts[i]))
        middle = -(-len(parts[largest]) // 2)
        parts[largest : largest + 1] = [parts[largest][:middle], parts[largest][middle:]]
    return [Job(index, tuple(part)) for index, part in enumerate(parts)]


def _launch(
    launcher: str, jobs: list[Job], settings: Settings, slots: list[str], threads: int, stop_level: Callable[[], int]
) -> Generator[tuple[Job | None, Message | None]]:
    if launcher == "ray":
        from .ray_launcher import run_on_ray  # only who asks for Ray needs it

        return run_on_ray(jobs, settings, slots, threads, stop_level)
    return run_in_processes(jobs, settings, slots, threads, stop_level)
