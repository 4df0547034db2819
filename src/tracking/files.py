"""Files that are whole or absent, and strict JSON.

A file is written beside its final name, flushed to the disk and renamed: a killed process or a full disk leaves the old
file. JSON has no NaN and no infinity; they are written as the texts "NaN", "Infinity" and "-Infinity", which are
reserved.
"""

import contextlib
import json
import math
import os
from pathlib import Path
from typing import Any

_NON_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def atomic_write(path: Path, data: bytes) -> None:
    """Replaces the file `path` by `data`, or leaves it as it was and raises.

    Raises:
        OSError: with the path in its message, also when the disk is full.
    """
    temporary = path.with_name(f".{path.name}.tmp-{os.getpid()}")
    try:
        with open(temporary, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        _sync_folder(path.parent)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise OSError(error.errno, error.strerror, str(path)) from error


def remove_temporary_files(folder: Path) -> None:
    """Deletes what killed writers left in `folder`; only for the holder of the folder's lock."""
    for path in folder.glob(".*.tmp-*"):
        path.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def to_json(value: Any, indent: int | None = None) -> str:
    """Returns strict JSON for plain values, numpy scalars and arrays, and small tensors."""
    return json.dumps(_encode(value), allow_nan=False, indent=indent)


def from_json(text: str | bytes) -> Any:
    """The inverse of `to_json` (ValueError when `text` is not JSON)."""
    value = json.loads(text)
    marks = (b"NaN", b"Infinity") if isinstance(text, bytes) else ("NaN", "Infinity")
    return _decode(value) if any(mark in text for mark in marks) else value


def _encode(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _encode(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_encode(item) for item in value]
    if hasattr(value, "tolist"):  # numpy and torch, without importing either
        return _encode(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value


def _decode(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _decode(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_decode(item) for item in value]
    return _NON_FINITE.get(value, value) if isinstance(value, str) else value
