"""A sweep from its list of runs to its outcome: skip what is done, do the rest, keep count of everything."""

import errno
import os
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from src.errors import EXIT_FAILED, EXIT_INTERRUPTED, UserError, did_you_mean
from src.sweep.control import Progress
from src.sweep.folder import RunFolder
from src.sweep.job import Job, JobEnded, JobLost, Message, Note, Outcome, Settings
from src.sweep.lock import LockedError
from src.sweep.plan import plan
from src.sweep.pool import run_in_processes
from src.sweep.progress import ProgressLine
from src.sweep.run import Run
from src.sweep.signals import StopSignals
from src.tracking import environment
from src.tracking.wandb_choice import choose_wandb

LAUNCHERS = ("process", "ray")


@dataclass
class SweepOutcome:
    """Every run of the sweep in one of its lists, by how it ended."""

    done: list[Run] = field(default_factory=list)
    skipped: list[Run] = field(default_factory=list)  # were done before
    failed: list[tuple[Run, str]] = field(default_factory=list)
    left: list[Run] = field(default_factory=list)  # interrupted or never begun
    locked: list[Run] = field(default_factory=list)  # another live sweep works on them

    @property
    def interrupted(self) -> bool:
        return bool(self.left)

    @property
    def exit_code(self) -> int:
        """0: every run is done; 75 (try again): some are left, or in another sweep's hands; 1: some failed."""
        if self.left or self.locked:
            return EXIT_INTERRUPTED
        return EXIT_FAILED if self.failed else 0

    def report(self, out: str | Path) -> str:
        """One line of counts and one line for each failed run with its traceback file."""
        counts = [f"{len(self.done) + len(self.skipped)} runs done ({len(self.skipped)} of them before)"]
        counts += [f"{len(self.failed)} failed"] if self.failed else []
        counts += [f"{len(self.left)} left: the same command continues them"] if self.left else []
        counts += [f"{len(self.locked)} in the hands of another sweep"] if self.locked else []
        lines = [", ".join(counts)]
        lines += [f"  {describe_failure(out, run, message)}" for run, message in self.failed]
        return "\n".join(lines)


def describe_failure(out: str | Path, run: Run, message: str) -> str:
    """One line: which run, what happened, where its traceback is."""
    return f"failed: {run.name}: {message} ({RunFolder(out, run).path / 'traceback.txt'})"


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
) -> SweepOutcome:
    """Does all runs that are not done and returns how each ended.

    Args:
        work: "package.module:function", called in a worker as `work(folders, control)`. It ends each folder with
        `finish` or
            `fail`, or it raises: `Interrupted` after saving the state when `control.stop()` is true; anything else
            fails the runs that it has not ended.
        workers: worker processes; worker i computes on `devices[i % len(devices)]` (default: all on the CPU).
        steps: the number of steps of a run, for the progress line.
        group: runs of equal value go to one call of `work` together; None gives each run its own.
        launcher: "process" (this machine) or "ray" (a cluster, or a local one that is started).
        retry_failed: runs that failed earlier are done again from their checkpoint instead of being reported.
        wandb: auto, online, offline or disabled; `wandb_project` names the project.
        threads_per_worker: default: cores // workers.

    Raises:
        UserError: the folder cannot be used, or the launcher or W&B mode is not to be had. Nothing was started then.
    """
    if launcher not in LAUNCHERS:
        raise UserError(f"launcher '{launcher}' is unknown{did_you_mean(launcher, LAUNCHERS)}")
    out, runs = Path(out), list(dict.fromkeys(runs))
    ledger = _Ledger(out, runs, retry_failed)
    if not ledger.pending:
        return ledger.outcome
    _check_writable(out)
    settings = Settings(work, out, environment(), retry_failed, choose_wandb(wandb, wandb_project))
    jobs = make_jobs(ledger.pending, group)
    devices = devices or ["cpu"]
    slots = [devices[i % len(devices)] for i in range(workers)]
    threads = threads_per_worker or max(1, len(os.sched_getaffinity(0)) // workers)
    with StopSignals() as signals:
        ledger.follow(_launch(launcher, jobs, settings, slots, threads, signals.level), steps, signals.level)
    return ledger.outcome


def make_jobs(runs: list[Run], group: Callable[[Run], Hashable] | None) -> list[Job]:
    """Returns one job a run, or one a group, in the order of their first runs."""
    members: dict[Hashable, list[Run]] = defaultdict(list)
    for run in runs:
        members[run.key if group is None else group(run)].append(run)
    return [Job(index, tuple(grouped)) for index, grouped in enumerate(members.values())]


def _launch(
    launcher: str, jobs: list[Job], settings: Settings, slots: list[str], threads: int, stop_level: Callable[[], int]
) -> Iterator[tuple[Job | None, Message | None]]:
    if launcher == "ray":
        from src.sweep.ray_launcher import run_on_ray  # only who asks for Ray needs it

        return run_on_ray(jobs, settings, slots, threads, stop_level)
    return run_in_processes(jobs, settings, slots, threads, stop_level)


def _check_writable(out: Path) -> None:
    probe = out / f".writable-{os.getpid()}"
    try:
        out.mkdir(parents=True, exist_ok=True)
        probe.write_bytes(b"1")
        probe.unlink()
    except OSError as error:
        reason = "it is a file" if error.errno in (errno.EEXIST, errno.ENOTDIR) else error.strerror
        raise UserError(f"--out {out}: cannot write there ({reason}); choose another folder") from None


class WorkerLost(RuntimeError):
    """The process that did the run died."""


class _Ledger:
    """The book of a sweep: which runs are pending, and where each one went."""

    def __init__(self, out: Path, runs: list[Run], retry_failed: bool) -> None:
        self._out = out
        state = plan(runs, out)
        self.outcome = SweepOutcome(skipped=[run for run, _ in state.done])
        torn = [(run, status.message) for run, status in state.interrupted if "torn" in status.message]
        self.messages = [f"{run.name}: {message}; it is done again" for run, message in torn]
        settled = set(self.outcome.skipped)
        if not retry_failed:
            self.outcome.failed = [(run, status.message) for run, status in state.failed]
            settled |= {run for run, _ in state.failed}
        self.pending = [run for run in runs if run not in settled]

    def follow(
        self,
        messages: Iterator[tuple[Job | None, Message | None]],
        steps: Callable[[Run], int],
        stop_level: Callable[[], int],
    ) -> None:
        """Books every message of the launcher until it has no more."""
        self._open = {run.key: run for run in self.pending}
        self._steps_left: dict[int, int] = {}
        self._steps = steps
        self._progress = ProgressLine(len(self.pending), sum(steps(run) for run in self.pending))
        try:
            for message in self.messages:
                self._progress.write(message)
            for job, message in messages:
                if job is not None:
                    self._book(job, message, stop_level)
                self._progress.tick()
        finally:
            self._progress.close()
        self.outcome.left += self._open.values()
        self._recheck_locked()

    def _book(self, job: Job, message: Message, stop_level: Callable[[], int]) -> None:
        left = self._steps_left.setdefault(job.index, sum(self._steps(run) for run in job.runs))
        match message:
            case Progress(steps, resumed):
                self._progress.advance(steps, resumed)
                self._steps_left[job.index] = left - steps - resumed
            case Note(text):
                self._progress.write(text)
            case Outcome(key, state, text):
                self._settle(key, state, text)
            case JobLost(reason):
                for run in job.runs:
                    if run.key in self._open and stop_level() < 2:
                        self._settle(run.key, *self._book_loss(run, reason))
                self._progress.forget(left)
            case JobEnded():
                self._progress.forget(left)

    def _settle(self, key: str, state: str, text: str) -> None:
        run = self._open.pop(key)
        if state == "failed":
            self.outcome.failed.append((run, text))
            self._progress.write(describe_failure(self._out, run, text))
        else:
            lists = {"done": "done", "skipped": "done", "interrupted": "left", "locked": "locked"}
            getattr(self.outcome, lists[state]).append(run)
        if state == "locked" and len(self.outcome.locked) == 1:
            self._progress.write(f"{run.name} is being done by another sweep and is left to it, as are others like it")
        self._progress.count(done=state in ("done", "skipped"), failed=state == "failed")

    def _book_loss(self, run: Run, reason: str) -> tuple[str, str]:
        """The worker died: the run may have been finished, or taken over by another sweep; else it failed."""
        folder = RunFolder(self._out, run)
        try:
            with folder.locked():
                if folder.status().state == "done":
                    return "done", ""
                return "failed", folder.fail(WorkerLost(reason))
        except LockedError:
            return "locked", ""
        except OSError as error:
            return "failed", f"{reason}; and {error}"

    def _recheck_locked(self) -> None:
        """Runs that another sweep has finished meanwhile are done."""
        still = []
        for run in self.outcome.locked:
            done = RunFolder(self._out, run).status().state == "done"
            (self.outcome.done if done else still).append(run)
        self.outcome.locked = still
