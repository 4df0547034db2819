"""What the tests give a training loop: its ports as keywords, states in files of a folder, a data set read by torch's loader."""

from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path

import torch
from torch.utils.data import DataLoader, Dataset

from src import engine
from src.engine import FitResult, Ports
from src.engine.batches import Batch, Ordered
from src.tracking.checkpoint import CheckpointFile

_PORTS = {field.name for field in fields(Ports)}


def fit(*arguments, **options) -> FitResult:
    """`src.engine.fit`, silent, with the fields of `Ports` among its keywords."""
    ports = {name: options.pop(name) for name in _PORTS & options.keys()}
    return engine.fit(*arguments, **options, ports=Ports(**({"say": lambda line: None} | ports)))


class FileStore:
    """`last.pt` and `best.pt` in a folder, for the run whose config has the hash `key`."""

    def __init__(self, folder: str | Path, key: str, say: Callable[[str], None] = print) -> None:
        last = CheckpointFile(Path(folder) / "last.pt", key, say)
        best = CheckpointFile(Path(folder) / "best.pt", key, say)
        self.save_state, self.load_state = last.save, last.load
        self.save_best, self.load_best = best.save, best.load


class DatasetBatches(Ordered):
    """Samples of a map-style data set through torch's DataLoader, with worker processes: what the engine's own sources must equal."""

    def __init__(
        self, dataset: Dataset, batch_size: int, seed: int | None = None, drop_last: bool = True, workers: int = 0
    ):
        super().__init__(len(dataset), batch_size, seed, drop_last)
        self._sampler: list[list[int]] = []
        generator = torch.Generator()  # else the loader draws its workers' seeds from the generator of dropout
        self._loader = DataLoader(
            dataset,
            batch_sampler=self._sampler,
            num_workers=workers,
            persistent_workers=workers > 0,
            generator=generator,
        )

    def iterate(self, epoch: int = 0, start: int = 0) -> Iterator[Batch]:
        self._sampler[:] = [indices.tolist() for indices in self._order(epoch)[start:]]
        return iter(self._loader)
