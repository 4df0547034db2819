"""A run's mirror on Weights & Biases (W&B): the real SDK, imported only when its mode asks for it, and never able to
hurt a run.

Whatever the SDK raises becomes one line, and the local log, which is the record, goes on.
"""

import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .files import atomic_write
from .privacy import hide_homes
from .wandb_choice import WandbChoice

_SECONDS = 30.0  # how long a slow network may hold up the start of a run, and its end

# nothing of the machine, the code or the environment leaves it: environment.json says what is worth knowing
_SETTINGS = {
    "console": "off",
    "silent": True,
    "symlink": False,
    "host": "",
    "disable_code": True,
    "disable_git": True,
    "disable_job_creation": True,
    "x_disable_machine_info": True,
    "x_disable_meta": True,
    "x_disable_stats": True,
    "x_save_requirements": False,
    "init_timeout": _SECONDS,
    "finish_timeout": _SECONDS,
}


class WandbRun:
    """Mirrors rows to W&B until that fails once; then it says so and does nothing more.

    Args:
        run: what `wandb.init` returned.
        warn: takes the one line that says what went wrong.
    """

    def __init__(self, run: Any, warn: Callable[[str], None]) -> None:
        self._run = run
        self._warn = warn

    def log(self, step: int, values: dict[str, Any]) -> None:
        """Sends one row."""
        self._attempt(lambda run: run.log(values, step=step))

    def finish(self, exit_code: int) -> None:
        """Ends the run; W&B shows it as failed unless `exit_code` is 0."""
        self._attempt(lambda run: run.finish(exit_code=exit_code))
        self._run = None

    def _attempt(self, action: Callable[[Any], None]) -> None:
        if self._run is not None:
            try:
                action(self._run)
            except Exception as error:
                self._run = None
                self._warn(_describe(error))


def open_wandb(
    choice: WandbChoice, folder: Path, *, name: str, group: str, config: dict[str, Any], warn: Callable[[str], None]
) -> WandbRun | None:
    """Starts, or continues, the W&B run of the run folder `folder`; None where W&B is off or cannot start.

    Its id is kept in the folder, so that a resumed run is the same run there. All W&B files go to `<folder>/wandb`. Home folders
    leave as `~`.
    """
    if choice.mode == "disabled":
        return None
    try:
        import wandb

        run = wandb.init(
            mode=choice.mode,
            project=choice.project,
            dir=str(folder),
            id=run_id(folder),
            resume="allow",
            reinit="create_new",  # the runs of a batch are open side by side
            name=hide_homes(name),
            group=group,
            config=hide_homes(config),
            settings=wandb.Settings(**_SETTINGS),
        )
    except Exception as error:
        warn(_describe(error))
        return None
    return WandbRun(run, warn)


def run_id(folder: Path) -> str:
    """Returns the W&B id of a run folder, drawn once (derived ids fail where a run was deleted on the server)."""
    path = folder / "wandb" / "run_id"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic_write(path, f"{folder.name}-{secrets.token_hex(4)}".encode())
    return path.read_text()


def _describe(error: Exception) -> str:
    text = (str(error).strip().splitlines() or [""])[0]
    key = os.environ.get("WANDB_API_KEY")
    if key:
        text = text.replace(key, "***")
    return f"W&B: off for this run, {type(error).__name__}: {text}; the local log goes on"
