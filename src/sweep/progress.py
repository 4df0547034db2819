"""How a sweep is going, on stderr: one live line on a terminal, a few plain lines elsewhere.

The plain lines come at the start, after each further tenth, after half a minute without one, and at the end.
"""

import sys
import time
from typing import TextIO

from tqdm import tqdm

_PARTS, _SECONDS = 10, 30.0


class SweepProgress:
    """Runs done and failed, steps per second and time left, on stderr.

    Args:
        n_runs: runs to do.
        n_steps: their steps in all.
    """

    def __init__(self, n_runs: int, n_steps: int, stream: TextIO | None = None) -> None:
        self._stream = sys.stderr if stream is None else stream
        self._n_runs, self._done, self._failed = n_runs, 0, 0
        self._bar = self._make_bar(n_steps) if self._stream.isatty() else None
        self._total, self._steps, self._resumed = n_steps, 0, 0
        self._start = time.monotonic()
        self._last_part, self._last_time = 0, self._start
        if self._bar is None:
            self.write(f"sweep: {n_runs} runs to do, {n_steps:,} steps")

    def advance(self, steps: int, resumed: int = 0) -> None:
        """Counts steps newly done, and steps found done, which do not count for the speed."""
        self._steps += steps + resumed
        self._resumed += resumed
        if self._steps > self._total:  # the estimate was too small
            self._total = self._steps
            if self._bar is not None:
                self._bar.total = self._total
        if self._bar is not None:
            self._bar.initial += resumed
            self._bar.update(steps + resumed)

    def forget(self, steps: int) -> None:
        """Takes steps off the total that nobody will do: of a run that failed, or that another sweep does."""
        self._total -= steps
        if self._bar is not None:
            self._bar.total -= steps

    def count(self, done: int = 0, failed: int = 0) -> None:
        """Counts runs that ended."""
        self._done += done
        self._failed += failed
        if self._bar is not None:
            self._bar.set_description_str(self._runs())

    def tick(self) -> None:
        """Writes a plain line when one is due."""
        if self._bar is not None:
            return
        now, part = time.monotonic(), _PARTS * self._steps // max(self._total, 1)
        if part > self._last_part or now - self._last_time >= _SECONDS:
            self._last_part, self._last_time = part, now
            self.write(f"sweep: {self._runs()}, {self._steps / max(self._total, 1):.0%}, {self._speed()}")

    def write(self, text: str) -> None:
        """Writes a line of its own, above the live one."""
        tqdm.write(text, file=self._stream)
        self._stream.flush()

    def close(self) -> None:
        """Ends the live line, or writes the last plain one."""
        if self._bar is not None:
            self._bar.close()
        else:
            seconds = time.monotonic() - self._start
            self.write(f"sweep: {self._runs()}, {tqdm.format_interval(seconds)} in all")

    def _make_bar(self, n_steps: int) -> tqdm:
        return tqdm(
            total=n_steps,
            desc=self._runs(),
            unit=" steps",
            unit_scale=True,
            file=self._stream,
            bar_format="{desc} |{bar}| {percentage:3.0f}% {rate_fmt}, {remaining} left",
            mininterval=0.2,
            smoothing=0.05,
            dynamic_ncols=True,
        )

    def _runs(self) -> str:
        failed = f", {self._failed} failed" if self._failed else ""
        return f"{self._done}/{self._n_runs} runs done{failed}"

    def _speed(self) -> str:
        rate = (self._steps - self._resumed) / (time.monotonic() - self._start)
        left = tqdm.format_interval((self._total - self._steps) / rate) if rate > 0 else "?"
        return f"{rate:,.0f} steps/s, {left} left"
