"""How this suite says things: nothing that is printed can decide how a run ends.

A script's stdout and stderr may die under it: `| head` has seen enough, Ctrl-C ends `tee` first, a terminal hangs up, a log's disk is full.
`protect_streams` lets such lines vanish, for `print`, progress lines, warnings and tracebacks alike. Every door and every worker calls it
before anything else. Handlers of signals say a line with `say_in_handler`.
"""

import contextlib
import errno
import io
import os
import select
import sys
from typing import TextIO

_READER_GONE = (errno.EPIPE, errno.EIO, errno.ENXIO, errno.ECONNRESET, errno.ESTALE)
_WAIT_SECONDS = 5.0  # for a pipe that is full and does not block


def protect_streams() -> None:
    """Makes stdout and stderr of this process outlive whoever reads them; each line leaves at once, in any encoding."""
    for descriptor in (0, 1, 2):
        with contextlib.suppress(OSError):
            _open_if_closed(descriptor)
    if sys.stdin is None:
        sys.stdin = open(0, closefd=False)  # noqa: SIM115 -- open for the life of the process
    sys.stdout = _protected(sys.stdout, sys.__stdout__, 1)
    sys.stderr = _protected(sys.stderr, sys.__stderr__, 2)


def say_in_handler(line: str) -> None:
    """Writes a line to stderr at once and past all buffers: what it interrupts may be in the middle of a print."""
    with contextlib.suppress(OSError):
        os.write(2, f"{line}\n".encode(errors="replace"))


class SurvivingFile(io.FileIO):
    """A file descriptor for writing that takes everything and never fails; what cannot be written is lost.

    A reader that is gone does not come back, and the descriptor leads nowhere from then on. A full disk may be emptied.
    """

    def __init__(self, descriptor: int) -> None:
        super().__init__(descriptor, "w", closefd=False)
        self._has_failed = False

    def write(self, data) -> int:
        try:
            written = super().write(data)
            if written is None:  # full, and not to be waited for
                select.select([], [self], [], _WAIT_SECONDS)
                written = super().write(data)
        except OSError as error:
            self._fail(error)
            written = None
        return memoryview(data).nbytes if written is None else written

    def isatty(self) -> bool:
        with contextlib.suppress(OSError, ValueError):
            return super().isatty()
        return False

    def _fail(self, error: OSError) -> None:
        if error.errno in _READER_GONE:
            with contextlib.suppress(OSError):
                _lead_nowhere(self.fileno())
        elif not self._has_failed and self.fileno() == 1:
            say_in_handler(f"warning: stdout cannot be written ({error.strerror}); its lines are lost")
        self._has_failed = True


def _protected(current: TextIO | None, original: TextIO | None, descriptor: int) -> TextIO:
    """The stream over a surviving file; as it is where someone else (a notebook, a test) has put another one in its place."""
    if current is not None and (current is not original or isinstance(_raw(current), SurvivingFile)):
        return current
    encoding = "utf-8" if current is None else current.encoding
    if current is not None:
        with contextlib.suppress(OSError, ValueError):
            current.flush()
    buffer = io.BufferedWriter(SurvivingFile(descriptor))
    return io.TextIOWrapper(buffer, encoding, "backslashreplace", line_buffering=True)


def _raw(stream: TextIO) -> object:
    return getattr(getattr(stream, "buffer", None), "raw", None)


def _open_if_closed(descriptor: int) -> None:
    """A script may be started with a stream closed (`>&-`): its number would go to the next file that is opened."""
    try:
        os.fstat(descriptor)
    except OSError:
        _lead_nowhere(descriptor)


def _lead_nowhere(descriptor: int) -> None:
    nowhere = os.open(os.devnull, os.O_RDWR)
    if nowhere != descriptor:
        os.dup2(nowhere, descriptor)
        os.close(nowhere)
