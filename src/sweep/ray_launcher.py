"""The jobs of a sweep on a Ray cluster: the one at RAY_ADDRESS, or a local one that lives as long as the sweep.

Ray is optional. The machines of a cluster need this suite at the same path and one shared folder for results. Workers
post what they have to say on a board (an actor), where they also read whether to stop; the sweep polls it.

Ray places the tasks: K runs a GPU are tasks that ask for 1/K of one, and each sees the card that it was given as its only one. A local Ray
is started with the GPUs of the sweep; a cluster has its own, of which no numbers can be asked for.
"""

import contextlib
import math
import os
import signal
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

from ..errors import UserError
from .control import Control
from .devices import is_gpu
from .job import Job, JobEnded, JobLost, Message, Settings, load_work, run_job
from .pool import worker_environment

_TICK_SECONDS = 0.2
_ASK_SECONDS = 0.5


def run_on_ray(
    jobs: list[Job], settings: Settings, devices: list[str], threads: int, stop_level: Callable[[], int]
) -> Iterator[tuple[Job | None, Message | None]]:
    """Does the jobs, `len(devices)` at a time; the same contract as `run_in_processes`.

    Raises:
        UserError: Ray is not installed, or its cluster cannot be reached.
    """
    with visible_gpus(devices) as seen:
        ray = _start_ray(len(devices), len(seen))
    try:
        board = ray.remote(num_cpus=0)(Board).remote()
        yield from _Dispatcher(ray, board, jobs, settings, devices, threads).follow(stop_level)
    finally:
        ray.shutdown()


class Board:
    """What workers say, and whether they are to stop."""

    def __init__(self) -> None:
        self._messages: list[tuple[int, Message]] = []
        self._stop = False

    def post(self, index: int, message: Message) -> None:
        self._messages.append((index, message))

    def take(self) -> list[tuple[int, Message]]:
        """Returns what was posted since the last call."""
        messages, self._messages = self._messages, []
        return messages

    def ask_to_stop(self) -> None:
        self._stop = True

    def is_stop_asked(self) -> bool:
        return self._stop


class _Dispatcher:
    """Keeps as many jobs on the cluster as there are slots and yields what the board says about them."""

    def __init__(
        self, ray: Any, board: Any, jobs: list[Job], settings: Settings, devices: list[str], threads: int
    ) -> None:
        self._ray, self._board, self._settings = ray, board, settings
        self._queue = deque(jobs)
        self._free = list(devices)
        self._sharing = devices.count(devices[0])
        self._running: dict[int, tuple[Job, str, Any]] = {}
        self._environment = worker_environment(threads)
        self._asked = 0

    def follow(self, stop_level: Callable[[], int]) -> Iterator[tuple[Job | None, Message | None]]:
        while self._running or (self._queue and stop_level() == 0):
            self._hand_on(stop_level())
            while self._queue and self._free and stop_level() == 0:
                self._submit(self._queue.popleft(), self._free.pop(0))
            ended = self._ended()  # asked first: what they posted before is on the board
            yield from self._read_board()
            for job, reason in ended:
                if job.index in self._running:
                    self._release(job.index)
                    yield job, JobLost(reason)
            yield None, None
            time.sleep(_TICK_SECONDS)

    def _submit(self, job: Job, device: str) -> None:
        options = {"num_cpus": 1, "max_retries": 0, "runtime_env": {"env_vars": self._environment}}
        if is_gpu(device):
            # a process of its own for each task: it takes its CUDA context with it, sound or not
            options |= {"num_gpus": share_of_gpu(self._sharing), "max_calls": 1}
        remote = self._ray.remote(**options)(do_job)
        place = ("cuda" if is_gpu(device) else device, self._sharing)  # Ray shows a task its own GPU only
        self._running[job.index] = job, device, remote.remote(job, self._settings, place, self._board, sys.path)

    def _hand_on(self, stop_level: int) -> None:
        if stop_level >= 1 and self._asked == 0:
            self._ray.get(self._board.ask_to_stop.remote())
        if stop_level == 2 and self._asked < 2:
            for _, _, task in self._running.values():
                self._ray.cancel(task, force=True)
        self._asked = max(self._asked, stop_level)

    def _ended(self) -> list[tuple[Job, str]]:
        """Jobs whose task is over, with how a worker died."""
        ended = []
        for job, _, task in self._running.values():
            if self._ray.wait([task], timeout=0)[0]:
                try:
                    self._ray.get(task)
                    ended.append((job, "worker ended without a word"))
                except self._ray.exceptions.RayError as error:
                    ended.append((job, f"Ray worker died ({type(error).__name__}), out of memory?"))
        return ended

    def _read_board(self) -> Iterator[tuple[Job, Message]]:
        for index, message in self._ray.get(self._board.take.remote()):
            job = self._running[index][0]
            if isinstance(message, JobEnded):
                self._release(index)
            yield job, message

    def _release(self, index: int) -> None:
        _, device, _ = self._running.pop(index)
        self._free.append(device)


def share_of_gpu(sharing: int) -> float:
    """Returns 1 / sharing in Ray's units of 1/10,000, rounded down so that as many shares fit on a card."""
    return math.floor(10_000 / sharing) / 10_000


def do_job(job: Job, settings: Settings, place: tuple[str, int], board: Any, path: list[str]) -> None:
    """The task that runs in a Ray worker."""
    import ray

    sys.path[:] = path
    device, sharing = place
    last_asked, stop = 0.0, False

    def stopped() -> bool:
        nonlocal last_asked, stop
        if not stop and time.monotonic() - last_asked >= _ASK_SECONDS:
            try:
                stop = ray.get(board.is_stop_asked.remote())
            except ray.exceptions.RayError:  # the sweep is gone, and its board with it
                stop = True
            last_asked = time.monotonic()
        return stop

    def send(message: Message) -> None:
        board.post.remote(job.index, message)

    ended = run_job(load_work(settings.work), job, settings, Control(device, send, stopped, sharing), send)
    ray.get(board.post.remote(job.index, ended))  # calls arrive in order: nothing is still under way


@contextlib.contextmanager
def visible_gpus(devices: list[str]) -> Iterator[list[str]]:
    """While entered, a Ray that is started sees the GPUs among `devices` only; yields their names in CUDA_VISIBLE_DEVICES."""
    earlier = os.environ.get("CUDA_VISIBLE_DEVICES")
    numbers = [int(device.partition(":")[2]) for device in dict.fromkeys(devices) if is_gpu(device)]
    names = [earlier.split(",")[number] if earlier else str(number) for number in numbers]
    if names:
        os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(names)
    try:
        yield names
    finally:
        if names and earlier is None:
            del os.environ["CUDA_VISIBLE_DEVICES"]
        elif names:
            os.environ["CUDA_VISIBLE_DEVICES"] = earlier


def _start_ray(slots: int, gpus: int) -> Any:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        import ray
    except ImportError:
        raise UserError("--launcher ray needs the package ray: pip install ray, or use --launcher process") from None
    address = os.environ.get("RAY_ADDRESS")
    options = {"log_to_driver": False, "logging_level": "ERROR"}
    if address is None:
        options |= {"address": "local", "num_cpus": slots, "num_gpus": gpus, "include_dashboard": False}
    earlier = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(**options)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise UserError(f"--launcher ray: no cluster at RAY_ADDRESS={address} ({error})") from None
    if callable(earlier):
        signal.signal(signal.SIGTERM, earlier)  # Ray takes it for itself; the sweep stops cleanly on it
    return ray
