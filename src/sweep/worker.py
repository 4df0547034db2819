"""A worker process: it outlives many jobs, because importing torch and loading compiled code takes seconds.

It is started as a fresh interpreter (never forked), so that thread counts are set before torch starts and the user's
main script is not run again. It talks to its parent over one connection. Ctrl-C is the parent's affair; SIGTERM means:
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

from src.sweep.control import Control
from src.sweep.job import Job, Message, Settings, load_work, run_job

ORPHAN_GRACE = 20.0  # seconds between the parent's death and ours, at most
WATCH_SECONDS = 1.0


class Stop:
    """Tells the work when to stop: SIGTERM arrived, or the parent is gone."""

    def __init__(self, parent: int) -> None:
        self._parent = parent
        self._asked = False
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, self._ask)

    def _ask(self, signum: int, frame: object) -> None:
        self._asked = True

    def __call__(self) -> bool:
        return self._asked or self.is_orphan()

    def is_orphan(self) -> bool:
        return os.getppid() != self._parent

    def reset(self) -> None:
        """Forgets a SIGTERM that was sent to this worker alone: it ended one job, not the worker."""
        self._asked = False


def main(descriptor: int, parent: int) -> None:
    """The life of a worker: settings in, then jobs until the connection ends."""
    stop = Stop(parent)
    os.set_inheritable(descriptor, False)
    threading.Thread(target=_leave_with_parent, args=(stop,), daemon=True).start()
    connection = Connection(descriptor)
    with contextlib.suppress(EOFError, OSError):
        settings, place, sys.path[:] = connection.recv()
        _serve(connection, settings, place, stop)


def _serve(connection: Connection, settings: Settings, place: tuple[str, int], stop: Stop) -> None:
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

    while True:
        job: Job = connection.recv()
        ended = run_job(work, job, settings, Control(device, send, stop, sharing), send)
        stop.reset()
        send(ended)


def _leave_with_parent(stop: Stop) -> None:
    while not stop.is_orphan():
        time.sleep(WATCH_SECONDS)
    time.sleep(ORPHAN_GRACE)
    os._exit(1)
