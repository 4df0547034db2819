"""What ties a training loop to the world around it: where states and rows go, who asks it to stop, who is told how far it is.

A sweep's run folder and control fit `run_ports` by their shape; neither package imports the other.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

State = dict[str, Any]


class Store(Protocol):
    """Where a run's states are kept. "State" continues training; "best" holds the weights of the best epoch."""

    def save_state(self, state: State, /) -> None: ...

    def load_state(self) -> State | None: ...

    def save_best(self, state: State, /) -> None: ...

    def load_best(self) -> State | None: ...


class MemoryStore:
    """Keeps the best weights and nothing else: training that is killed starts again."""

    def __init__(self) -> None:
        self._best: State | None = None

    def save_state(self, state: State, /) -> None:
        pass

    def load_state(self) -> State | None:
        return None

    def save_best(self, state: State, /) -> None:
        self._best = state

    def load_best(self) -> State | None:
        return self._best


class LogRow(Protocol):
    """Takes a row of the log."""

    def __call__(self, step: int, /, **values: float) -> None: ...


class _Log(Protocol):
    @property
    def log(self) -> LogRow: ...


class RunFiles(Store, Protocol):
    """A run's folder, as `src.sweep.RunFolder` is one."""

    @property
    def log(self) -> _Log: ...


class RunControl(Protocol):
    """The line to whoever started the run, as `src.sweep.Control` is one."""

    def stop(self) -> bool: ...

    def advance(self, n_steps: int, /) -> None: ...

    def resumed(self, n_steps: int, /) -> None: ...


def _nothing(*_: object, **__: object) -> None:
    pass


@dataclass(frozen=True)
class Ports:
    """The loop's outlets; by default it shows a progress line, prints what it has to say, and keeps the best weights in memory.

    Attributes:
        log: log(step, **values), called in the main process only, with rows of steps ("loss", "lr", ...) and of epochs
            ("epoch", "train/loss", ...).
        store: where states are kept.
        resume: continue from the state in the store; False starts anew.
        stop: asked between steps; True saves the state and raises Interrupted.
        advance: told the number of steps just done.
        resumed: told the step of the state that was found.
        progress: show how far training is, on stderr.
        say: takes lines for the user.
    """

    log: LogRow = _nothing
    store: Store = field(default_factory=MemoryStore)
    resume: bool = True
    stop: Callable[[], bool] = lambda: False
    advance: Callable[[int], None] = _nothing
    resumed: Callable[[int], None] = _nothing
    progress: bool = True
    say: Callable[[str], None] = print

    def silenced(self) -> "Ports":
        """Returns the ports of a process that trains and stops along with the main one, and tells nobody."""
        return replace(self, log=_nothing, advance=_nothing, progress=False, say=_nothing)


def run_ports(folder: RunFiles, control: RunControl) -> Ports:
    """Returns the ports of a run in a sweep: its folder and its control, and not a word to the user."""
    return Ports(
        log=lambda step, **values: folder.log.log(step, **values),  # the folder's log opens after load_state
        store=folder,
        stop=control.stop,
        advance=control.advance,
        resumed=control.resumed,
        progress=False,
        say=_nothing,
    )
