"""A worker process: it outlives many jobs, because importing torch and loading compiled code takes seconds.

It is started as a fresh interpreter (never forked), so that thread counts are set before torch starts and the user's
main script is not run again. It talks to its parent over one connection. Ctrl-C is the parent's affair; other signals mean:
save and stop. When the parent is gone, whatever killed it, the work is asked to stop too, and ended a little later if
it does not.
"""

import contextlib
import os
import signal
import sys
import threading
import time
import traceback
from multiprocessing.connection import Connection

from ..say import protect_streams
from ..stop import StopSignals
from .control import Control
from .job import Job, Message, Settings, load_work, run_job

ORPHAN_GRACE = 20.0  # seconds between the parent's death and ours, at most
WATCH_SECONDS = 1.0


class Parent:
    """The process that started this worker."""

    def __init__(self, pid: int) -> None:
        self._pid = pid

    def is_gone(self) -> bool:
        return os.getppid() != self._pid


def main(descriptor: int, parent: int) -> None:
    """The life of a worker: settings in, then jobs until the connection ends."""
    protect_streams()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.set_inheritable(descriptor, False)
    sweep = Parent(parent)
    threading.Thread(target=_leave_with_parent, args=(sweep,), daemon=True).start()
    connection = Connection(descriptor)
    with StopSignals() as signals, contextlib.suppress(EOFError, OSError):
        settings, place, sys.path[:] = connection.recv()
        _serve(connection, settings, place, sweep, signals)


def _serve(
    connection: Connection, settings: Settings, place: tuple[str, int], sweep: Parent, signals: StopSignals
) -> None:
    device, sharing = place
    try:
        work = load_work(settings.work)
    except BaseException:
        connection.send(traceback.format_exc())
        return
    connection.send("ready")

    def send(message: Message) -> None:
        with contextlib.suppress(OSError):  # the parent is gone; the work goes on until it asks whether to stop
            connection.send(message)

    def stopped() -> bool:
        return signals.asked() or sweep.is_gone()

    while True:
        job: Job = connection.recv()
        ended = run_job(work, job, settings, Control(device, send, stopped, sharing), send)
        signals.reset()  # what was sent to this worker alone ended one job, not the worker
        send(ended)


def _leave_with_parent(sweep: Parent) -> None:
    while not sweep.is_gone():
        time.sleep(WATCH_SECONDS)
    time.sleep(ORPHAN_GRACE)
    os._exit(1)
