"""SIGTERM and Ctrl-C as a question that the loop asks between steps: the first stops cleanly, the second at once."""

import contextlib
import signal
import sys
from collections.abc import Callable, Iterator
from types import FrameType


class Stopped(Exception):
    """Training was asked to stop and has saved its state; a script exits with EXIT_INTERRUPTED, so that a scheduler requeues it."""


@contextlib.contextmanager
def stop_on_signals() -> Iterator[Callable[[], bool]]:
    """Yields the function that tells whether a signal has asked to stop; only for the main thread of a script."""
    asked = False

    def ask(signum: int, frame: FrameType | None) -> None:
        nonlocal asked
        asked = True
        print(f"\n{signal.Signals(signum).name}: stopping after this step (once more to stop at once)", file=sys.stderr)
        signal.signal(signum, earlier[signum])

    earlier = {signum: signal.getsignal(signum) for signum in (signal.SIGTERM, signal.SIGINT)}
    for signum in earlier:
        signal.signal(signum, ask)
    try:
        yield lambda: asked
    finally:
        for signum, handler in earlier.items():
            signal.signal(signum, handler)
