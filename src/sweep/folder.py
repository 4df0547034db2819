"""The folder of one run, `<out>/<experiment>/<key>/`: its config, environment, log, checkpoint, result and status.

Anyone may read it. Only the process that holds its lock writes to it, and every file is written whole and then renamed.
"""

import contextlib
import io
import sys
import time
import traceback
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import yaml

from ..errors import EXIT_INTERRUPTED, UserError
from ..tracking import JsonlLog, read_jsonl
from ..tracking.checkpoint import CheckpointFile, previous
from ..tracking.files import atomic_write, from_json, remove_temporary_files, to_json
from .lock import hold_lock, is_locked
from .run import Run, run_with_key


@dataclass(frozen=True)
class Status:
    """How far a run is: "new", "running" (by a live process), "interrupted" (to be continued), "failed" or "done"."""

    state: str
    step: int | None = None
    message: str = ""
    seconds: float = 0.0
    device: str = ""
    killed_at: int | None = None  # the step at which the worker was last killed; -1: before the first state


_STATES = ("running", "interrupted", "failed", "done")  # of a run that was begun
_STATUS_KINDS = {
    "state": (str,),
    "step": (int, type(None)),
    "message": (str,),
    "seconds": (int, float),
    "device": (str,),
    "label": (str,),
    "killed_at": (int, type(None)),
}


class Mirror(Protocol):
    """Where a log is mirrored to (Weights & Biases)."""

    def log(self, step: int, values: dict[str, Any]) -> None: ...

    def finish(self, exit_code: int) -> None: ...


class RunFolder:
    """The files of `run` below `out`. Making the object touches nothing."""

    def __init__(self, out: str | Path, run: Run) -> None:
        self.run = run
        self.path = Path(out) / run.experiment / run.key
        self.mirror: Mirror | None = None
        self.warnings: list[str] = []
        self._states = CheckpointFile(self.path / "state.pt", run.key, self.warnings.append)
        self._best = CheckpointFile(self.path / "best.pt", run.key, self.warnings.append)
        self.ended: Status | None = None
        self._started: float | None = None
        self._device = ""
        self._resume_step = -1

    @property
    def config(self) -> dict[str, Any]:
        return self.run.config

    # --- reading: anyone, any time ---

    def status(self) -> Status:
        """Returns how far the run is. "done" needs a whole result of this config; "running" needs a live process."""
        record, problem = _read_status(self.path)
        if record is None:
            return Status("interrupted", message=problem) if problem else Status("new")
        status = Status(**{field.name: record[field.name] for field in fields(Status) if field.name in record})
        if status.state == "done" and self.result() is None:
            problem = _read_record(self.path / "result.json", "key")[1] or "result.json is missing or of another run"
            return replace(status, state="interrupted", message=problem)
        if status.state == "running" and not is_locked(self.path):
            return replace(status, state="interrupted", message="was cut off")
        return status

    def result(self) -> dict[str, Any] | None:
        """Returns what the run gave to `finish`, or None unless it is done, whole, and of this config."""
        status = _read_status(self.path)[0]
        record = _read_record(self.path / "result.json", "key")[0]
        if status is None or record is None or status["state"] != "done" or record["key"] != self.run.key:
            return None
        return record["result"]

    def metrics(self) -> list[dict[str, Any]]:
        """Returns the rows of the log."""
        return read_jsonl(self.path / "metrics.jsonl")

    def load_arrays(self) -> dict[str, Any] | None:
        """Returns what `save_arrays` was given (numpy arrays by name), or None."""
        import numpy as np

        path = self.path / "arrays.npz"
        if not path.exists():
            return None
        try:
            with np.load(path, allow_pickle=False) as file:
                return dict(file)
        except Exception:  # zip, value and OS errors: all mean a torn file
            raise UserError(f"{path}: torn; delete the folder and run it again") from None

    # --- writing: inside `locked()` and after `start()` ---

    def locked(self) -> contextlib.AbstractContextManager[None]:
        """Holds the run's lock; see `hold_lock` for what it raises."""
        return hold_lock(self.path)

    def start(self, environment: dict[str, Any]) -> None:
        """Begins or continues the run: writes config and environment, and marks it as running."""
        remove_temporary_files(self.path)
        config = self.path / "config.yaml"
        if config.exists() and replace(self.run, config=read_config(config)).key != self.run.key:
            raise RuntimeError(f"{config} is not the config that its folder is named after; delete the folder")
        atomic_write(config, yaml.safe_dump(_as_lists(self.config), sort_keys=False).encode())
        atomic_write(self.path / "environment.json", to_json(environment, indent=2).encode())
        self._started, self._device = time.monotonic(), environment.get("device", "")
        self._earlier_seconds = self.status().seconds
        self._record("running")

    def begin_again(self) -> None:
        """Takes a started run back to before `load_state`, for another attempt by the process that holds it."""
        if "log" in self.__dict__:
            self.log.close()
            del self.__dict__["log"]
        self._resume_step = -1

    @cached_property
    def log(self) -> JsonlLog:
        """The run's log, with the rows up to the state that was loaded (none without one): call `load_state` first."""
        if self._started is None:
            raise RuntimeError("a folder that was not started is only read: use metrics()")
        log = JsonlLog(self.path / "metrics.jsonl", self.mirror.log if self.mirror else None)
        log.rewind(self._resume_step)
        return log

    def save_state(self, state: dict[str, Any]) -> None:
        """Writes a checkpoint of tensors and plain values; `state["step"]` is the number of steps done.

        Log the row of a step before saving the state of that step: a resumed run keeps the rows up to its state's step.
        """
        step = state["step"]
        self.log.sync()
        self._states.save(state)
        self._record("running", step=step)

    def load_state(self) -> dict[str, Any] | None:
        """Returns the last checkpoint, or None for a fresh start, and takes the log back to it.

        Raises:
            CheckpointError: there are checkpoints and none can be trusted.
        """
        if "log" in self.__dict__:
            raise RuntimeError("load_state comes before the first use of the log")
        state = self._states.load()
        if state is not None:
            self._resume_step = state["step"]
        return state

    def save_best(self, state: dict[str, Any]) -> None:
        """Writes the weights that are the best so far, beside the state that continues the run."""
        self._best.save(state)

    def load_best(self) -> dict[str, Any] | None:
        """Returns what `save_best` was given last, or None."""
        return self._best.load()

    def save_arrays(self, **arrays: Any) -> None:
        """Writes numpy arrays to arrays.npz, in place of what was there."""
        import numpy as np

        buffer = io.BytesIO()
        np.savez(buffer, allow_pickle=False, **arrays)
        atomic_write(self.path / "arrays.npz", buffer.getbuffer())

    def finish(self, result: dict[str, Any]) -> None:
        """Ends the run as done. From here on its result is trusted and the run is skipped."""
        self.log.sync()
        record = {"experiment": self.run.experiment, "key": self.run.key, "label": self.run.label, "result": result}
        atomic_write(self.path / "result.json", to_json(record, indent=2).encode())
        self._record("done")
        previous(self._states.path).unlink(missing_ok=True)
        (self.path / "traceback.txt").unlink(missing_ok=True)
        self._close(Status("done"), exit_code=0)

    def fail(self, error: BaseException) -> str:
        """Ends the run as failed, with the traceback of `error`; returns its one-line message.

        A disk too full to note the failure is no second failure: the run then counts as interrupted.
        """
        first_line = (str(error).strip().splitlines() or [""])[0]
        message = f"{type(error).__name__}: {first_line}" if first_line else type(error).__name__
        with contextlib.suppress(OSError):
            atomic_write(self.path / "traceback.txt", "".join(traceback.format_exception(error)).encode())
            self._record("failed", message=message)
        self._close(Status("failed", message=message), exit_code=1)
        return message

    def interrupt(self) -> None:
        """Ends the run for now; it continues from its last checkpoint."""
        with contextlib.suppress(OSError):
            self._record("interrupted")
        self._close(Status("interrupted"), exit_code=EXIT_INTERRUPTED)

    def note_kill(self) -> bool:
        """Notes that the run's process was killed from outside; False where that happened at the same step before.

        Killed once, a run continues like any that was cut off; twice without a step forward, it needs more than it can have.
        """
        status = self.status()
        step = -1 if status.step is None else status.step
        if status.killed_at == step:
            return False
        self._record("interrupted", message="was killed", killed_at=step)
        return True

    # --- inside ---

    def _close(self, ended: Status, exit_code: int) -> None:
        self.ended = ended
        if "log" in self.__dict__:
            self.log.close()
        if self.mirror is not None:
            self.mirror.finish(exit_code)

    def _record(self, state: str, step: int | None = None, message: str = "", killed_at: int | None = None) -> None:
        earlier = _read_status(self.path)[0] or {}
        seconds = earlier.get("seconds", 0.0)
        if self._started is not None:
            seconds = self._earlier_seconds + time.monotonic() - self._started
        record = {
            "state": state,
            "step": earlier.get("step") if step is None else step,
            "message": message,
            "label": self.run.label,
            "seconds": round(seconds, 3),
            "device": self._device or earlier.get("device", ""),
            "killed_at": earlier.get("killed_at") if killed_at is None else killed_at,
        }
        atomic_write(self.path / "status.json", to_json(record, indent=2).encode())


def _read_record(path: Path, key: str) -> tuple[dict[str, Any] | None, str]:
    """(the JSON object in the file, which must have `key`; what is wrong with it); (None, "") where there is no file."""
    try:
        record = from_json(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return None, ""
    except (ValueError, RecursionError):
        return None, f"{path.name} is torn"
    except OSError as error:
        return None, f"{path.name} cannot be read ({error.strerror})"
    return (record, "") if isinstance(record, dict) and key in record else (None, f"{path.name} is torn")


def _read_status(folder: Path) -> tuple[dict[str, Any] | None, str]:
    """As `_read_record` of status.json, whose values are checked too: it may come from another program."""
    record, problem = _read_record(folder / "status.json", "state")
    if record is None:
        return None, problem
    for name, kinds in _STATUS_KINDS.items():
        if name in record and (type(record[name]) not in kinds or (name == "state" and record[name] not in _STATES)):
            return None, f"status.json is not of this suite ({name} is {str(record[name])[:40]!r})"
    return record, ""


def collect(out: str | Path, experiment: str) -> list[RunFolder]:
    """Returns the folders of all runs of `experiment` below `out`, by key; one whose config was changed is said and left out."""
    folders = []
    for config in sorted((Path(out) / experiment).glob("*/config.yaml")):
        try:
            run = _run_of(experiment, config)
        except UserError as error:
            print(f"left out: {error}", file=sys.stderr)
        else:
            folders.append(RunFolder(out, run))
    return folders


def _run_of(experiment: str, config: Path) -> Run:
    """The run that a folder is named after."""
    label = (_read_status(config.parent)[0] or {}).get("label", "")
    run = run_with_key(experiment, read_config(config), config.parent.name, label)
    if run is None:
        raise UserError(f"{config} is not the config that its folder is named after; delete the folder")
    return run


def read_config(path: Path) -> dict[str, Any]:
    """Returns the config that `start` wrote; UserError where it is damaged. Libyaml reads a thousand in a fraction of a second."""
    try:
        config = yaml.load(path.read_bytes(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except (OSError, ValueError, yaml.YAMLError, RecursionError) as error:
        raise UserError(f"{path}: cannot be read ({str(error).splitlines()[0]}); delete the folder") from None
    if not isinstance(config, dict):
        raise UserError(f"{path}: is not the config of a run; delete the folder")
    return config


def _as_lists(value: Any) -> Any:
    """YAML's safe dump has no tuples."""
    if isinstance(value, dict):
        return {key: _as_lists(item) for key, item in value.items()}
    return [_as_lists(item) for item in value] if isinstance(value, (list, tuple)) else value
