"""Worker processes on this machine: one slot each, one job at a time, replaced when they die."""

import contextlib
import os
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterator
from multiprocessing import Pipe
from multiprocessing.connection import wait

from ..resources import import_root, module
from .job import Job, JobEnded, JobLost, Message, Settings

_TICK_SECONDS = 0.2
_MAX_FAILED_STARTS = 3
_KILLING = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")
_ROOT = import_root()


def run_in_processes(
    jobs: list[Job], settings: Settings, devices: list[str], threads: int, stop_level: Callable[[], int]
) -> Iterator[tuple[Job | None, Message | None]]:
    """Does the jobs in `len(devices)` workers and yields (job, message) as they come; (None, None) every 0.2 s or
    sooner.

    Args:
        stop_level: 0: go on; 1: let the workers save their state and stop; 2: kill them.

    Raises:
        RuntimeError: the work function cannot be imported, or workers die before they are ready.
    """
    queue = deque(jobs)
    slots = [_Slot(device, devices.count(device), settings, threads) for device in devices]
    try:
        while any(slot.job for slot in slots) or (queue and stop_level() == 0):
            for slot in slots:
                slot.follow(stop_level())
                if stop_level() == 0 and queue:
                    slot.offer(queue)
            connections = [slot.connection for slot in slots if slot.connection]
            ready = wait(connections, timeout=_TICK_SECONDS) if connections else []
            for slot in slots:
                yield from slot.receive(slot.connection in ready)
            yield None, None
    finally:
        for slot in slots:
            slot.close()


class _Slot:
    """One place for a worker process: its process, its connection and its job."""

    def __init__(self, device: str, sharing: int, settings: Settings, threads: int) -> None:
        self._place, self._settings, self._threads = (device, sharing), settings, threads
        self._process: subprocess.Popen[bytes] | None = None
        self._ready = False
        self._failed_starts = 0
        self._signalled = 0
        self.connection = None
        self.job: Job | None = None

    def offer(self, queue: deque[Job]) -> None:
        """Takes the next job if the worker is free; starts the worker where there is none."""
        if self._process is None:
            self._start()
        elif self._ready and self.job is None:
            self.job = queue.popleft()
            with contextlib.suppress(OSError):  # it just died; `receive` notices
                self.connection.send(self.job)

    def follow(self, stop_level: int) -> None:
        """Hands a rise of the stop level on to the worker, once."""
        if self._process is not None and stop_level > self._signalled:
            self._signalled = stop_level
            self._process.send_signal(signal.SIGTERM if stop_level == 1 else signal.SIGKILL)

    def receive(self, readable: bool) -> Iterator[tuple[Job | None, Message]]:
        """Yields what the worker sent, and its loss if it died."""
        if self._process is None:
            return
        exit_code = self._process.poll()  # asked first: what it sent before it died is read below
        try:
            while (readable or exit_code is not None) and self.connection.poll():
                yield from self._handle(self.connection.recv())
                if self._process is None:
                    return
        except (EOFError, OSError):
            exit_code = self._process.wait()
        if exit_code is not None:
            yield from self._bury(exit_code)

    def close(self) -> None:
        """Ends the worker: an idle one leaves when its connection ends; one with a job has no time left."""
        if self._process is not None:
            self.connection.close()
            if self.job is not None:
                self._process.kill()
            try:
                self._process.wait(timeout=5.0)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = self.connection = None

    def _start(self) -> None:
        ours, theirs = Pipe()
        program = f"from {module('sweep.worker')} import main; main({theirs.fileno()}, {os.getpid()})"
        self._process = subprocess.Popen(
            [sys.executable, "-c", program],
            env=os.environ | worker_environment(self._threads),
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C of the terminal reaches the parent alone, and nothing can prompt
        )
        theirs.close()
        self.connection, self._ready, self._signalled = ours, False, 0
        with contextlib.suppress(OSError):
            ours.send((self._settings, self._place, sys.path))

    def _handle(self, message: Message | str) -> Iterator[tuple[Job | None, Message]]:
        if message == "ready":
            self._ready, self._failed_starts = True, 0
        elif isinstance(message, str):
            raise RuntimeError(f"a worker cannot import {self._settings.work}:\n{message}")
        else:
            job = self.job
            if isinstance(message, JobEnded):
                self.job = None
                if message.last:
                    self._dismiss()
            yield job, message

    def _dismiss(self) -> None:
        """Ends a worker that has said all and can do no more, at once: its libraries may hang on their way out."""
        self._process.kill()
        self._process.wait()
        self.connection.close()
        self._process = self.connection = None

    def _bury(self, exit_code: int) -> Iterator[tuple[Job | None, Message]]:
        """The worker is dead: its job is lost, and the slot is free for a new one."""
        reason = describe_exit(exit_code)
        job, self.job = self.job, None
        self.connection.close()
        self._process = self.connection = None
        if job is not None:
            yield job, JobLost(reason, killed=-exit_code in _KILLING)
        elif not self._ready and not self._signalled:
            self._failed_starts += 1
            if self._failed_starts == _MAX_FAILED_STARTS:
                raise RuntimeError(f"workers do not start: {reason}")


def worker_environment(threads: int) -> dict[str, str]:
    """The variables that a worker starts with: thread counts, which torch and numba read once, and where to find us."""
    path = os.pathsep.join(filter(None, [str(_ROOT), os.environ.get("PYTHONPATH")]))
    return dict.fromkeys(_THREAD_VARIABLES, str(threads)) | {"PYTHONPATH": path}


def describe_exit(exit_code: int) -> str:
    """An exit code of a dead worker in words."""
    if exit_code >= 0:
        return f"worker exited with code {exit_code}"
    name = signal.Signals(-exit_code).name
    return f"worker killed by {name}" + (", out of memory?" if name == "SIGKILL" else "")
