"""The checkpoint of a run: one file of tensors and plain values that belongs to one run and is whole or refused.

The newest state is `state.pt`; the one before it stays as `state.prev.pt` and stands in when the newest cannot be read.
"""

import io
import os
from pathlib import Path
from typing import Any

from src.tracking.files import atomic_write

FORMAT = 1
NEWEST, PREVIOUS = "state.pt", "state.prev.pt"


class StateError(RuntimeError):
    """A checkpoint that cannot be trusted; the message names the file and the way out."""


def write_state(folder: Path, key: str, state: dict[str, Any]) -> None:
    """Writes `state` for the run `key`; the state before it is kept as the previous one.

    Raises:
        TypeError: a value is neither a tensor nor plain, so that it could not be loaded again.
        OSError: the disk is full or not writable; the earlier states are untouched.
    """
    import torch

    _check_plain(state, "state")
    buffer = io.BytesIO()
    torch.save({"format": FORMAT, "key": key, "state": state}, buffer)
    incoming = folder / "state.new.pt"
    atomic_write(incoming, buffer.getbuffer())
    if (folder / NEWEST).exists():
        os.replace(folder / NEWEST, folder / PREVIOUS)
    os.replace(incoming, folder / NEWEST)


def read_state(folder: Path, key: str) -> tuple[dict[str, Any] | None, str]:
    """Returns (state, warning): the newest readable state of the run `key`, or None where none was ever saved.

    Raises:
        StateError: files are there and none of them can be trusted.
    """
    problems = []
    for path in (folder / NEWEST, folder / PREVIOUS):
        if path.exists():
            try:
                return _load(path, key), "; ".join(problems)
            except StateError as error:
                problems.append(str(error))
    if problems:
        raise StateError("; ".join(problems) + f"; delete {folder} to start this run again")
    return None, ""


def _load(path: Path, key: str) -> dict[str, Any]:
    import torch

    try:
        payload = torch.load(path, map_location="cpu", weights_only=True)
    except Exception:  # torch raises many types for torn and foreign files, pickle's among them
        raise StateError(f"{path} is torn or no state of this suite") from None
    if not isinstance(payload, dict) or payload.keys() != {"format", "key", "state"}:
        raise StateError(f"{path} is no state of this suite")
    if payload["format"] != FORMAT:
        raise StateError(f"{path} has format {payload['format']}, this version reads {FORMAT}")
    if payload["key"] != key:
        raise StateError(f"{path} belongs to the run {payload['key']}, not to {key}")
    return payload["state"]


def _check_plain(value: Any, where: str) -> None:
    import torch

    if isinstance(value, dict):
        for key, item in value.items():
            _check_plain(item, f"{where}[{key!r}]")
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            _check_plain(item, f"{where}[{index}]")
    elif type(value) not in (int, float, bool, str, bytes, type(None)) and not isinstance(value, torch.Tensor):
        raise TypeError(f"{where} is a {type(value).__name__}; a state holds tensors and plain values only")
