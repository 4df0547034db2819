"""Ctrl-C, SIGTERM and SIGHUP as a level: the first asks for a clean stop, the second kills."""

import signal
import sys
import threading
from types import FrameType
from typing import Self

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class StopSignals:
    """While entered, signals raise the level instead of ending the process (only in the main thread)."""

    def __init__(self) -> None:
        self._level = 0
        self._earlier: dict[int, object] = {}

    def level(self) -> int:
        """0: go on; 1: save and stop; 2: stop now."""
        return self._level

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for signum in _SIGNALS:
                if signal.getsignal(signum) is not signal.SIG_IGN:  # nohup ignores SIGHUP
                    self._earlier[signum] = signal.signal(signum, self._raise_level)
        return self

    def __exit__(self, *exception: object) -> None:
        for signum, handler in self._earlier.items():
            signal.signal(signum, handler)

    def _raise_level(self, signum: int, frame: FrameType | None) -> None:
        self._level = min(self._level + 1, 2)
        words = {1: "saving the state of the runs (once more to kill them)", 2: "killing the runs"}
        print(f"\n{signal.Signals(signum).name}: {words[self._level]}", file=sys.stderr, flush=True)
