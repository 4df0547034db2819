"""Checkpoint files: tensors and plain values only, written whole and then renamed, the one before kept.

A file says its format and the run (a hash of the config) that it belongs to. One that is torn, of another run or of another
program is refused in one line and the one before it is used. Nothing is loaded that could run code (`weights_only`).
Torch is imported when a file is written or read: who only looks at run folders does without it.
"""

import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..errors import UserError
from .files import atomic_write

FORMAT = 1
State = dict[str, Any]


class CheckpointError(UserError):
    """A file that cannot be trusted; the message is one line."""


def write_checkpoint(path: Path, key: str, state: State) -> None:
    """Writes `state` as the run `key`'s; what was at `path` becomes `<stem>.prev<suffix>`.

    Raises:
        TypeError: a value is neither a tensor nor plain.
        OSError: the disk is full or not writable; the earlier files are untouched.
    """
    import torch

    _check_plain(state, "state")
    buffer = io.BytesIO()
    torch.save({"format": FORMAT, "key": key, "state": state}, buffer)
    incoming = path.with_name(f"{path.stem}.new{path.suffix}")
    atomic_write(incoming, buffer.getbuffer())
    if path.exists():
        os.replace(path, previous(path))
    os.replace(incoming, path)


def previous(path: Path) -> Path:
    """Returns where the checkpoint before the one at `path` is kept."""
    return path.with_name(f"{path.stem}.prev{path.suffix}")


def read_checkpoint(path: str | Path, key: str | None = None) -> State:
    """Returns the state in the file `path`, on the CPU; `key` None takes any run's.

    Raises:
        CheckpointError: the file is missing, torn, of another program, of another format or of another run.
    """
    if not Path(path).is_file():
        raise CheckpointError(f"{path}: no such checkpoint")
    import torch

    try:
        payload = torch.load(path, map_location="cpu", weights_only=True)
    except Exception:  # torch raises many types for torn and foreign files, pickle's among them
        raise CheckpointError(f"{path}: torn, or no checkpoint of this suite") from None
    if not isinstance(payload, dict) or payload.keys() != {"format", "key", "state"}:
        raise CheckpointError(f"{path}: no checkpoint of this suite")
    if payload["format"] != FORMAT:
        raise CheckpointError(f"{path}: has format {payload['format']}; this version reads format {FORMAT}")
    if key is not None and payload["key"] != key:
        raise CheckpointError(f"{path}: belongs to another run (config {payload['key']}, this one is {key})")
    return payload["state"]


class CheckpointFile:
    """A checkpoint that is written again and again, and the one before it.

    Args:
        say: takes the line about a file that was refused.
    """

    def __init__(self, path: str | Path, key: str, say: Callable[[str], None] = print) -> None:
        self.path, self.key, self._say = Path(path), key, say

    def save(self, state: State) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_checkpoint(self.path, self.key, state)

    def load(self) -> State | None:
        """Returns the newest state that can be trusted, or None where none was ever saved.

        Raises:
            CheckpointError: there are files and none can be trusted.
        """
        problems = []
        for path in (self.path, previous(self.path)):
            if path.exists():
                try:
                    state = read_checkpoint(path, self.key)
                except CheckpointError as error:
                    problems.append(str(error))
                    continue
                for problem in problems:
                    self._say(f"{problem}; continuing from {path.name}")
                return state
        if problems:
            raise CheckpointError("; ".join(problems) + f"; delete {self.path.parent} to start this run again")
        return None


def _check_plain(value: Any, where: str) -> None:
    import torch

    if isinstance(value, dict):
        for key, item in value.items():
            _check_plain(item, f"{where}[{key!r}]")
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            _check_plain(item, f"{where}[{index}]")
    elif type(value) not in (int, float, bool, str, bytes, type(None)) and not isinstance(value, torch.Tensor):
        raise TypeError(f"{where} is a {type(value).__name__}; a checkpoint holds tensors and plain values only")
