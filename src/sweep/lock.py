"""A lock on a run's folder that the kernel releases when its holder dies (flock)."""

import contextlib
import errno
import fcntl
import os
import re
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from ..errors import UserError

_TRIES, _PAUSE = 5, 0.05  # a reader that asks whether a folder is locked holds the lock for a moment
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EINVAL)


class LockedError(Exception):
    """Another live process works in this run's folder."""


@contextlib.contextmanager
def hold_lock(folder: Path) -> Iterator[None]:
    """Holds the lock of `folder`, which is made if it is not there.

    Raises:
        LockedError: another process holds it.
        UserError: the file system has no locks.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / ".lock", "ab") as file:
        for _ in range(_TRIES):
            if _try_lock(file.fileno(), fcntl.LOCK_EX, folder):
                break
            time.sleep(_PAUSE)
        else:
            raise LockedError(holder(folder))
        with contextlib.suppress(OSError):  # a full disk keeps the name out, not the lock
            file.truncate(0)
            file.write(f"process {os.getpid()}, since {time.strftime('%F %H:%M')}".encode())
            file.flush()
        yield


def holder(folder: Path) -> str:
    """Returns who holds, or last held, the lock of `folder`: "process 1234, since 2026-01-31 12:00"."""
    with contextlib.suppress(OSError):
        written = (folder / ".lock").read_text(errors="replace")[:80]
        if re.fullmatch(r"process \d+, since [\d :-]+", written):
            return written
    return "another process"


def check_writable(folder: Path) -> None:
    """Makes `folder` and tries a file and a lock in it.

    Raises:
        UserError: it cannot be made or written to, or its file system has no locks.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:  # without a name: nothing of it can stay behind
            file.write(b"1")
            file.flush()
            _try_lock(file.fileno(), fcntl.LOCK_EX, folder)
    except OSError as error:
        reason = "it is a file" if error.errno in (errno.EEXIST, errno.ENOTDIR) else error.strerror
        raise UserError(f"--out {folder}: cannot write there ({reason}); choose another folder") from None


def is_locked(folder: Path) -> bool:
    """Tells whether a live process holds the lock of `folder`."""
    try:
        with open(folder / ".lock", "rb") as file:
            return not _try_lock(file.fileno(), fcntl.LOCK_SH, folder)
    except FileNotFoundError:
        return False


def _try_lock(descriptor: int, kind: int, folder: Path) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno in _NO_LOCKS:
            raise UserError(f"{folder}: this file system has no file locks; choose another folder with --out") from None
        raise
    return True
