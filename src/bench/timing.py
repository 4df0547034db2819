"""How the suite measures: both sides in one process, in turn, medians; CPU time on one thread, so that a busy machine does not count."""

import os
import platform
import time
from collections.abc import Callable, Mapping
from statistics import median
from typing import NamedTuple

import torch

from .. import tables

os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # read when the profiler starts; it writes to stderr otherwise


class Table(NamedTuple):
    """One table of a report."""

    title: str
    note: str
    rows: list[dict[str, str]]


def markdown(table: Table) -> str:
    """Returns the table as Markdown, with its title as a heading."""
    header = list(table.rows[0])
    body = tables.Table(header, [[row[name] for name in header] for row in table.rows])
    return "\n".join([f"### {table.title}", "", table.note, "", body.markdown()])


def seconds(sides: Mapping[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Median seconds of a call of each side, measured in turn after one call each to warm up.

    CPU seconds of this thread when torch has one thread, wall-clock seconds when it has more.
    """
    clock = time.thread_time if torch.get_num_threads() == 1 else time.perf_counter
    times: dict[str, list[float]] = {name: [] for name in sides}
    for repeat in range(repeats + 1):
        for name, function in sides.items():
            started = clock()
            function()
            if repeat:
                times[name].append(clock() - started)
    return {name: median(values) for name, values in times.items()}


def peak_bytes(function: Callable[[], object]) -> int:
    """Largest sum of live tensor memory that a call allocates, by the profiler's record of each allocation."""
    function()
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profiler:
        function()
    events = [e for e in profiler.profiler.kineto_results.events() if e.name() == "[memory]"]
    total = peak = 0
    for event in sorted(events, key=lambda e: e.start_ns()):
        total += event.nbytes()
        peak = max(peak, total)
    return peak


def machine() -> str:
    """One line: processor, versions, threads."""
    parts = [
        cpu_name(),
        f"{torch.get_num_threads()} thread(s)",
        f"torch {torch.__version__}",
        f"Python {platform.python_version()}",
    ]
    return ", ".join(parts)


def cpu_name() -> str:
    """The processor's model name, or what the platform knows of it."""
    try:
        with open("/proc/cpuinfo") as file:
            return next(line.split(":", 1)[1].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
