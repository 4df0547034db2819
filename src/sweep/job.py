"""A job in a worker: take the locks of its runs, call the work function, and say truthfully how each run ended."""

import contextlib
import importlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from src.sweep.control import Control, Interrupted, Progress
from src.sweep.folder import RunFolder
from src.sweep.lock import LockedError
from src.sweep.run import Run
from src.tracking.wandb_choice import WandbChoice
from src.tracking.wandb_run import WandbRun, open_wandb

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
    """Every run of the job has its outcome."""


@dataclass(frozen=True)
class JobLost:
    """The worker died; the runs without an outcome have none."""

    reason: str


Message = Progress | Outcome | Note | JobEnded | JobLost
Send = Callable[[Message], None]


def load_work(name: str) -> Work:
    """Returns the function named "package.module:function"."""
    module, _, function = name.partition(":")
    return getattr(importlib.import_module(module), function)


def run_job(work: Work, job: Job, settings: Settings, control: Control, send: Send) -> None:
    """Does the job's runs and sends an Outcome for each; no exception of the work leaves this function."""
    with contextlib.ExitStack() as locks:
        folders = []
        for run in job.runs:
            folder = RunFolder(settings.out, run)
            outcome = _claim(folder, locks, settings, send)
            if outcome is None:
                folders.append(folder)
            else:
                send(outcome)
        if folders:
            _call(work, folders, control, send)
    control.flush()


def _claim(folder: RunFolder, locks: contextlib.ExitStack, settings: Settings, send: Send) -> Outcome | None:
    """Locks and starts the run; an Outcome where there is nothing to do or it cannot start."""
    key = folder.run.key
    try:
        locks.enter_context(folder.locked())
        status = folder.status()  # again, now that nobody else can change it
        if status.state == "done":
            return Outcome(key, "skipped")
        if status.state == "failed" and not settings.retry_failed:
            return Outcome(key, "failed", status.message)
        folder.start(settings.environment)
        folder.mirror = _open_mirror(folder, settings.wandb, send)
    except LockedError:
        return Outcome(key, "locked")
    except Exception as error:
        return Outcome(key, "failed", folder.fail(error))
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


def _call(work: Work, folders: list[RunFolder], control: Control, send: Send) -> None:
    error: BaseException | None = None
    try:
        if control.stop():
            raise Interrupted
        work(folders, control)
    except BaseException as raised:  # SystemExit too: a run may not end its worker
        error = raised
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
