"""What a sweep would do: the runs sorted by how far they are, without touching a file."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from .folder import RunFolder, Status
from .run import Run


@dataclass(frozen=True)
class Survey:
    """Each run with its status, in one of five lists."""

    done: list[tuple[Run, Status]] = field(default_factory=list)
    interrupted: list[tuple[Run, Status]] = field(default_factory=list)
    failed: list[tuple[Run, Status]] = field(default_factory=list)
    running: list[tuple[Run, Status]] = field(default_factory=list)
    new: list[tuple[Run, Status]] = field(default_factory=list)

    @property
    def left(self) -> list[tuple[Run, Status]]:
        """The runs that a sweep would train: new ones, and those to be continued."""
        return self.new + self.interrupted

    def summary(self) -> str:
        """One line of counts."""
        named = ("done", "interrupted", "failed", "running", "new")
        words = {"interrupted": "to be continued", "running": "running in another sweep"}
        return ", ".join(f"{len(getattr(self, name))} {words.get(name, name)}" for name in named)

    def lines(self) -> list[str]:
        """One line a run, for --dry_run."""
        everything = [*self.done, *self.interrupted, *self.failed, *self.running, *self.new]
        return [_line(run, status) for run, status in everything]


def survey(runs: Iterable[Run], out: str | Path) -> Survey:
    """Returns the plan for `runs` in the folder `out`; no folder is made."""
    result = Survey()
    for run in runs:
        status = RunFolder(out, run).status()
        getattr(result, status.state).append((run, status))
    return result


def _line(run: Run, status: Status) -> str:
    step = f" at step {status.step}" if status.step is not None and status.state != "done" else ""
    message = f": {status.message}" if status.message else ""
    return f"{status.state:<11} {run.name}{step}{message}"
