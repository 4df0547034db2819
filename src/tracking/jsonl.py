"""The local log of a run: one JSON object a line, only ever appended, except to go back to a checkpoint's step."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..errors import UserError
from .files import atomic_write, from_json, to_json


class JsonlLog:
    """Appends rows {"step": ..., **values} to `path`.

    Opening repairs the last line: what a killed process left of it is cut off.

    Args:
        mirror: called with (step, values) after each row is on the local disk.
    """

    def __init__(self, path: str | Path, mirror: Callable[[int, dict[str, Any]], None] | None = None) -> None:
        self.path = Path(path)
        self._mirror = mirror
        self._file = self._open()

    def log(self, step: int, **values: Any) -> None:
        """Appends one row; it is in the file when this returns (OSError when it is not, and then no part of it is)."""
        line = to_json({"step": step, **values}).encode() + b"\n"
        end = self._file.tell()
        try:
            written = 0
            while written < len(line):
                written += self._file.write(line[written:])
        except OSError as error:
            self._file.truncate(end)
            self._file.seek(end)
            raise OSError(error.errno, error.strerror, str(self.path)) from error
        if self._mirror is not None:
            self._mirror(step, values)

    def rewind(self, step: int) -> None:
        """Drops the rows after `step`, so that a run resumed from there leaves the rows of an unbroken one."""
        self._file.close()
        lines = self.path.read_bytes().splitlines(keepends=True)
        kept = [line for line, row in zip(lines, read_jsonl(self.path), strict=True) if row["step"] <= step]
        if len(kept) < len(lines):
            atomic_write(self.path, b"".join(kept))
        self._file = self._open()

    def sync(self) -> None:
        """Forces the rows onto the disk: before a checkpoint that counts on them is written."""
        os.fsync(self._file.fileno())

    def close(self) -> None:
        self._file.close()

    def _open(self):
        file = open(self.path, "ab", buffering=0)  # noqa: SIM115 -- open for the log's life
        data = self.path.read_bytes()
        file.truncate(data.rfind(b"\n") + 1)
        file.seek(0, os.SEEK_END)
        return file


def read_jsonl(path: str | Path) -> list[dict[str, Any]]:
    """Returns the rows of a log, without a last line that is still being written.

    Raises:
        UserError: the file is missing, or a line in it is not JSON.
    """
    try:
        data = Path(path).read_bytes()
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    rows = []
    for number, line in enumerate(data[: data.rfind(b"\n") + 1].splitlines(), start=1):
        try:
            rows.append(from_json(line))
        except ValueError:
            raise UserError(
                f"{path} line {number}: not JSON; the file was changed by hand or its disk is damaged"
            ) from None
    return rows
