"""The book of a sweep: which runs are to be done, and where each one went."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import EXIT_FAILED, EXIT_INTERRUPTED
from .control import Progress
from .folder import RunFolder
from .job import Job, JobEnded, JobLost, Message, Note, Outcome
from .lock import LockedError
from .progress import SweepProgress
from .run import Run
from .survey import survey


@dataclass
class SweepOutcome:
    """Every run of the sweep in one of its lists, by how it ended."""

    done: list[Run] = field(default_factory=list)
    skipped: list[Run] = field(default_factory=list)  # were done before
    failed: list[tuple[Run, str]] = field(default_factory=list)
    left: list[Run] = field(default_factory=list)  # interrupted or never begun
    locked: list[tuple[Run, str]] = field(default_factory=list)  # another live process works on them: which

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
        """One line of counts, and one for each run that another process has or that failed, with its traceback file."""
        counts = [f"{len(self.done) + len(self.skipped)} runs done ({len(self.skipped)} of them before)"]
        counts += [f"{len(self.failed)} failed"] if self.failed else []
        counts += [f"{len(self.left)} left: the same command continues them"] if self.left else []
        counts += [f"{len(self.locked)} in the hands of another sweep"] if self.locked else []
        lines = [", ".join(counts)]
        lines += [f"  {run.name}: {holder}" for run, holder in self.locked]
        lines += [f"  {describe_failure(out, run, message)}" for run, message in self.failed]
        return "\n".join(lines)


def describe_failure(out: str | Path, run: Run, message: str) -> str:
    """One line: which run, what happened, where its traceback is (a full disk may have kept it from being written)."""
    trace = RunFolder(out, run).path / "traceback.txt"
    return f"failed: {run.name}: {message}" + (f" ({trace})" if trace.exists() else "")


class WorkerLost(RuntimeError):
    """The process that did the run died."""


class Ledger:
    """Sorts the runs by what the disk says, then books the messages of a launcher."""

    def __init__(self, out: Path, runs: list[Run], retry_failed: bool) -> None:
        self._out = out
        state = survey(runs, out)
        self.outcome = SweepOutcome(skipped=[run for run, _ in state.done])
        damaged = [(run, status.message) for run, status in state.interrupted if ".json" in status.message]
        self.messages = [f"{run.name}: {message}; it is done again" for run, message in damaged]
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
        watch: Callable[[], None] = lambda: None,
    ) -> None:
        """Books every message of the launcher until it has no more; `watch` is called after each and when there is none for a while."""
        self._open = {run.key: run for run in self.pending}
        self._steps_left: dict[int, int] = {}
        self._steps = steps
        self._progress = SweepProgress(len(self.pending), sum(steps(run) for run in self.pending))
        try:
            for message in self.messages:
                self._progress.write(message)
            for job, message in messages:
                if job is not None:
                    self._book(job, message, stop_level)
                self._progress.tick()
                watch()
            self._recheck_locked()
        finally:
            self.outcome.left += self._open.values()
            self._progress.close()

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
            case JobLost():
                for run in job.runs:
                    if run.key in self._open and stop_level() < 2:
                        self._settle(run.key, *self._book_loss(run, message))
                self._progress.forget(left)
            case JobEnded():
                self._progress.forget(left)

    def _settle(self, key: str, state: str, text: str) -> None:
        run = self._open.pop(key)
        match state:
            case "failed":
                self.outcome.failed.append((run, text))
                self._progress.write(describe_failure(self._out, run, text))
            case "locked":
                self.outcome.locked.append((run, text))
                if len(self.outcome.locked) == 1:
                    line = (
                        f"{run.name} is being done by another sweep ({text}) and is left to it, as are others like it"
                    )
                    self._progress.write(line)
            case "interrupted":
                self.outcome.left.append(run)
                if text:
                    self._progress.write(f"{run.name}: {text}")
            case _:
                self.outcome.done.append(run)
        self._progress.count(done=state in ("done", "skipped"), failed=state == "failed")

    def _book_loss(self, run: Run, loss: JobLost) -> tuple[str, str]:
        """The worker died: the run may have been finished, or taken over by another sweep; a killed one continues; else it failed."""
        folder = RunFolder(self._out, run)
        try:
            with folder.locked():
                if folder.status().state == "done":
                    return "done", ""
                if loss.killed and folder.note_kill():
                    return "interrupted", f"{loss.reason}; the same command continues it"
                return "failed", folder.fail(WorkerLost(loss.reason))
        except LockedError as held:
            return "locked", str(held)
        except OSError as error:
            return "failed", f"{loss.reason}; and {error}"

    def _recheck_locked(self) -> None:
        """Runs that another sweep has finished meanwhile are done."""
        still = []
        for run, who in self.outcome.locked:
            if RunFolder(self._out, run).status().state == "done":
                self.outcome.done.append(run)
                self._progress.count(done=1)
            else:
                still.append((run, who))
        self.outcome.locked = still
