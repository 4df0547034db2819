"""Stopping, for every loop: signals as a level that is asked between steps, and the one exception that means "stopped, and saved".

SIGINT (Ctrl-C), SIGTERM, SIGHUP (a terminal that hangs up) and SIGUSR1 (what a scheduler can be asked to send early) all ask for a clean
stop. SIGINT or SIGTERM once more means at once. A hang-up never does: kernel and shell may both send it.
"""

import signal
import threading
import time
from types import FrameType
from typing import Self

from .say import say_in_handler

_ASKING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)
_INSISTING = (signal.SIGINT, signal.SIGTERM)
_ECHO_SECONDS = 0.5  # torchrun hands a Ctrl-C on to processes that the terminal has sent it to as well


class Interrupted(Exception):
    """Asked to stop, and the state is saved: the same command continues. Scripts then exit with EXIT_INTERRUPTED."""


class StopSignals:
    """While entered, signals raise a level instead of ending the process (only in the main thread). An ignored one stays ignored.

    Args:
        first, second: what the user is told when the level becomes 1 and 2; nothing where it is empty.
        ends: at level 2 the signal does what it does without this object: it ends the process.
    """

    def __init__(self, first: str = "", second: str = "", ends: bool = False) -> None:
        self._words, self._ends = ("", first, second), ends
        self._level = 0
        self._insisted: list[float] = []  # when
        self._earlier: dict[int, object] = {}

    def level(self) -> int:
        """0: go on; 1: save and stop; 2: stop now."""
        return self._level

    def asked(self) -> bool:
        """True as soon as a signal has asked for a stop."""
        return self._level > 0

    def reset(self) -> None:
        """Forgets what was asked for."""
        self._level = 0
        self._insisted.clear()

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for signum in _ASKING:
                if signal.getsignal(signum) is not signal.SIG_IGN:  # nohup ignores SIGHUP
                    self._earlier[signum] = signal.signal(signum, self._notice)
        return self

    def __exit__(self, *exception: object) -> None:
        for signum, handler in self._earlier.items():
            signal.signal(signum, handler)
        self._earlier.clear()

    def _notice(self, signum: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if signum in _INSISTING and not (self._insisted and now - self._insisted[-1] < _ECHO_SECONDS):
            self._insisted.append(now)
        level = 2 if len(self._insisted) > 1 else 1
        if level == self._level:
            return
        self._level = level
        if self._words[level]:
            say_in_handler(f"\n{signal.Signals(signum).name}: {self._words[level]}")
        if level == 2 and self._ends:
            self.__exit__()
            signal.raise_signal(signum)
