"""What work will cost, said before it starts: steps, measured time a step, total time, memory, and the word that shortens it."""

import resource
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

_GROWTH = 4  # batch sizes that are tried: 2, 8, 32, ...
_ENOUGH_SECONDS = 0.25  # a step that long is measured well enough


class StepCost(NamedTuple):
    """Measured on this machine: seconds a step, and bytes of memory at its peak (None: not known)."""

    seconds: float
    memory: int | None = None


class Shorter(NamedTuple):
    """What shortens every run, as it is typed, and the steps of a run that it leaves."""

    words: str
    steps: int


def measure_step(step: Callable[[int], None], batch_size: int) -> StepCost:
    """Measures a step in at most a few of `_ENOUGH_SECONDS`: a large batch is measured in part and the rest extrapolated.

    Args:
        step: does a step with a batch of the size it is given.
    """
    size = first = min(2, batch_size)  # batch norm has no variance of one sample
    step(size)  # what happens once: compiled code is loaded, plans are made
    memory = before = peak_memory()
    seconds = fixed = _seconds(step, size)
    while size < batch_size and (size == first or seconds < _ENOUGH_SECONDS):
        size = min(_GROWTH * size, batch_size)
        seconds, memory = _seconds(step, size), peak_memory()
    if size == batch_size:
        return StepCost(min(seconds, _seconds(step, size)), memory)
    left = batch_size - size
    of_one = max(0.0, seconds - fixed) / (size - first)  # a kernel costs the same for any batch
    return StepCost(seconds + left * of_one, int(memory + left * (memory - before) / (size - first)))


def _seconds(step: Callable[[int], None], size: int) -> float:
    started = time.perf_counter()
    step(size)
    return time.perf_counter() - started


def peak_memory() -> int:
    """Returns the most bytes that this process has held so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def in_words(seconds: float) -> str:
    """Returns a time as people say it: 40 s, 25 min, 3.2 h, 35 days."""
    if seconds < 1:
        return f"{seconds:.1g} s"
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 48 * 3600 else f"{seconds / 86400:.0f} days"


def cost_line(
    costs: Sequence[StepCost], steps: Sequence[int], at_a_time: int = 1, shorter: Shorter | None = None
) -> str:
    """Returns the line about runs of so many steps each, at their costs, so many of them at a time.

    No run is split: the time is at least that of the longest one.
    """
    total = _total(costs, steps, at_a_time)
    mean = sum(cost.seconds * n for cost, n in zip(costs, steps, strict=True)) / max(1, sum(steps))
    runs = f"{len(steps)} runs, {sum(steps):,} steps" if len(steps) > 1 else f"{sum(steps):,} steps"
    together = f" ({at_a_time} at a time)" if at_a_time > 1 and len(steps) > 1 else ""
    memory = max((cost.memory for cost in costs if cost.memory is not None), default=None)
    parts = [f"cost: {runs}, {_a_step(mean)} a step here: about {in_words(total)}{together}"]
    if memory is not None:
        parts.append(f"{memory / 2**30:.1f} GiB a run")
    if shorter is not None and shorter.steps < max(steps):
        less = [min(n, shorter.steps) for n in steps]
        parts.append(f"{shorter.words}: {in_words(_total(costs, less, at_a_time))}")
    return "; ".join(parts)


def _total(costs: Sequence[StepCost], steps: Sequence[int], at_a_time: int) -> float:
    seconds = [cost.seconds * n for cost, n in zip(costs, steps, strict=True)]
    return max(sum(seconds) / min(at_a_time, len(seconds)), max(seconds))


def _a_step(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds >= 1 else f"{1000 * seconds:.3g} ms"
