"""Where a run's states are kept: in files, in a sweep's run folder, or (the best weights only) in memory."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from src.tracking.checkpoint import CheckpointFile, State

LAST, BEST = "last.pt", "best.pt"


class Store(Protocol):
    """What `fit` asks of a store. "last" continues training; "best" holds the weights of the best epoch."""

    def save(self, state: State) -> None: ...

    def load(self) -> State | None: ...

    def save_best(self, state: State) -> None: ...

    def load_best(self) -> State | None: ...


class MemoryStore:
    """Keeps the best weights and nothing else: training that is killed starts again."""

    def __init__(self) -> None:
        self._best: State | None = None

    def save(self, state: State) -> None:
        pass

    def load(self) -> State | None:
        return None

    def save_best(self, state: State) -> None:
        self._best = state

    def load_best(self) -> State | None:
        return self._best


class FileStore:
    """`last.pt` and `best.pt` in a folder, for the run whose config has the hash `key`."""

    def __init__(self, folder: str | Path, key: str, say: Callable[[str], None] = print) -> None:
        last = CheckpointFile(Path(folder) / LAST, key, say)
        best = CheckpointFile(Path(folder) / BEST, key, say)
        self.save, self.load = last.save, last.load
        self.save_best, self.load_best = best.save, best.load


class RunStore:
    """The states of a sweep's run folder, with `best.pt` beside them.

    Args:
        folder: has `path`, `run.key`, `save_state(state)` and `load_state()`; see `src.sweep.RunFolder`.
    """

    def __init__(self, folder: Any) -> None:
        best = CheckpointFile(folder.path / BEST, folder.run.key, folder.warnings.append)
        self.save, self.load = folder.save_state, folder.load_state
        self.save_best, self.load_best = best.save, best.load


def run_ports(folder: Any, control: Any) -> dict[str, Any]:
    """Returns the keywords of `fit` that tie it to a sweep: its run folder and its control."""
    return {
        "log": lambda step, **values: folder.log.log(step, **values),  # the folder's log opens after load_state
        "store": RunStore(folder),
        "stop": control.stop,
        "advance": control.advance,
        "resumed": control.resumed,
        "progress": False,
    }
