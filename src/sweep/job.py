"""A job in a worker: take the locks of its runs, call the work function, and say truthfully how each run ended.

A batch of runs that needs more memory than there is goes on in halves, down to one run a call.
"""

import contextlib
import importlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..stop import Interrupted
from ..tracking import device_environment
from ..tracking.wandb_choice import WandbChoice
from ..tracking.wandb_run import WandbRun, open_wandb
from .control import Control, Progress
from .devices import bind, is_gpu
from .faults import give_back, is_context_lost, out_of_memory
from .folder import RunFolder
from .lock import LockedError
from .run import Run

Work = Callable[[list[RunFolder], Control], None]


@dataclass(frozen=True)
class Job:
    """Runs that one call of the work function does together."""

    index: int
    runs: tuple[Run, ...]


@dataclass(frozen=True)
class Settings:
    """What all workers of a sweep share."""

    work: str
    out: Path
    environment: dict[str, Any]
    retry_failed: bool = False
    wandb: WandbChoice = field(default_factory=WandbChoice)


@dataclass(frozen=True)
class Outcome:
    """How a run ended: "done", "skipped" (was done before), "failed", "interrupted" or "locked" (by another sweep)."""

    key: str
    state: str
    message: str = ""


@dataclass(frozen=True)
class Note:
    """A line for the user that ends nothing."""

    text: str


@dataclass(frozen=True)
class JobEnded:
    """Every run of the job has its outcome; after the `last` one its worker is of no use any more."""

    last: bool = False


@dataclass(frozen=True)
class JobLost:
    """The worker died; the runs without an outcome have none. `killed` from outside, rather than by a fault of its own?"""

    reason: str
    killed: bool = False


Message = Progress | Outcome | Note | JobEnded | JobLost
Send = Callable[[Message], None]


def load_work(name: str) -> Work:
    """Returns the function named "package.module:function"."""
    module, _, function = name.partition(":")
    return getattr(importlib.import_module(module), function)


def run_job(work: Work, job: Job, settings: Settings, control: Control, send: Send) -> JobEnded:
    """Does the job's runs and sends an Outcome for each; no exception of the work leaves this function."""
    usable = True
    with contextlib.ExitStack() as locks:
        folders = []
        for run in job.runs:
            folder = RunFolder(settings.out, run)
            outcome = _claim(folder, locks, settings, control, send)
            if outcome is None:
                folders.append(folder)
            else:
                send(outcome)
        if folders:
            usable = _call(work, folders, control, send)
    control.flush()
    return JobEnded(last=not usable)


def _claim(
    folder: RunFolder, locks: contextlib.ExitStack, settings: Settings, control: Control, send: Send
) -> Outcome | None:
    """Locks and starts the run; an Outcome where there is nothing to do or it cannot start."""
    key = folder.run.key
    try:
        locks.enter_context(folder.locked())
        status = folder.status()  # again, now that nobody else can change it
        if status.state == "done":
            return Outcome(key, "skipped")
        if status.state == "failed" and not settings.retry_failed:
            return Outcome(key, "failed", status.message)
        bind(control.device)
        folder.start(settings.environment | device_environment(control.device))
        folder.mirror = _open_mirror(folder, settings.wandb, send)
    except LockedError as held:
        return Outcome(key, "locked", str(held))  # by whom
    except Exception as error:
        return Outcome(key, "failed", folder.fail(out_of_memory(error, control) or error))
    return None


def _open_mirror(folder: RunFolder, choice: WandbChoice, send: Send) -> WandbRun | None:
    run = folder.run
    return open_wandb(
        choice,
        folder.path,
        name=run.label or run.key,
        group=run.experiment,
        config=run.config,
        warn=lambda text: send(Note(f"{run.name}: {text}")),
    )


def _call(work: Work, folders: list[RunFolder], control: Control, send: Send) -> bool:
    """Does the runs, all in one call or in halves where that is more than the memory holds; False: the process is spoilt."""
    batches, usable = [folders], True
    while batches:
        batch, reported = batches.pop(0), control.flush()
        error = _attempt(work, batch, control) if usable else Interrupted()  # a new worker goes on with these
        if error is not None and is_context_lost(error, control.device):
            usable = False
            send(Note(f"{control.device}: its CUDA context is lost, its worker is replaced"))
        failure = out_of_memory(error, control) if usable and error is not None else None
        retried = _reset(batch) if failure is not None else []
        _end([folder for folder in batch if folder not in retried], failure or error, send)
        if usable and (error is not None or is_gpu(control.device)):
            give_back(control.device, error)
        if retried:
            control.retract(reported)
            batches[:0] = _halves(retried)
            send(
                Note(
                    f"{len(batch)} runs together do not fit in the memory of {control.device}, trying {len(batches[0])}"
                )
            )
    return usable


def _attempt(work: Work, folders: list[RunFolder], control: Control) -> BaseException | None:
    """Calls the work; returns what it raised."""
    try:
        if control.stop():
            raise Interrupted
        work(folders, control)
    except BaseException as raised:  # SystemExit too: a run may not end its worker
        return raised
    return None


def _reset(batch: list[RunFolder]) -> list[RunFolder]:
    """The runs of a batch that was too large, ready for another attempt; none where it was one run."""
    if len(batch) == 1:
        return []
    unfinished = [folder for folder in batch if folder.ended is None]
    for folder in unfinished:
        folder.begin_again()
    return unfinished


def _halves(folders: list[RunFolder]) -> list[list[RunFolder]]:
    middle = -(-len(folders) // 2)
    return [half for half in (folders[:middle], folders[middle:]) if half]


def _end(folders: list[RunFolder], error: BaseException | None, send: Send) -> None:
    for folder in folders:
        for warning in folder.warnings:
            send(Note(f"{folder.run.name}: {warning}"))
        send(_close(folder, error))


def _close(folder: RunFolder, error: BaseException | None) -> Outcome:
    """The outcome of a run after the work returned or raised; the work may have ended it itself."""
    key = folder.run.key
    if folder.ended is not None:
        return Outcome(key, folder.ended.state, folder.ended.message)
    if isinstance(error, Interrupted):
        folder.interrupt()
        return Outcome(key, "interrupted")
    if error is None:
        error = RuntimeError("the work returned without finish() or fail()")
    return Outcome(key, "failed", folder.fail(error))
