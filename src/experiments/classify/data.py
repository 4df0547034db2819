"""The data of a run: the splits that the config names, cut to size, where they lie, and their batches."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch

from ...dataloaders import Splits, Subset, load
from ...dataloaders.base import Batch, SequenceDataset
from ...dataloaders.placement import Placement
from ...engine import distributed
from ...engine.batches import Batches, evaluation_order, training_order
from ...engine.staging import Staged
from ...errors import UserError
from .config import TrainConfig

SHARE = 0.25  # of a GPU's free memory that data may take unasked
SUBSET_SEED = 42  # of the examples that train_size, val_size and test_size keep


class SplitBatches:
    """A split as batches of `batch_size`: shuffled by (seed, epoch), or in order where `seed` is None."""

    def __init__(self, dataset: SequenceDataset, batch_size: int, seed: int | None = None, drop_last: bool = True):
        self._dataset, self._batch_size, self._seed, self._drop_last = dataset, batch_size, seed, drop_last

    def __len__(self) -> int:
        return len(self._order(0))

    def iterate(self, epoch: int = 0, start: int = 0) -> Iterator[Batch]:
        """What a data set draws for a batch (augmentation) depends on the seed, the epoch and the batch alone."""
        for number, indices in enumerate(self._order(epoch)[start:], start):
            yield self._dataset.batch(torch.from_numpy(indices), self._generator(epoch, number))

    def _order(self, epoch: int) -> list[np.ndarray]:
        n = len(self._dataset)
        if self._seed is None:
            return evaluation_order(n, self._batch_size)
        return training_order(n, self._batch_size, self._seed, epoch, self._drop_last)

    def _generator(self, epoch: int, number: int) -> torch.Generator | None:
        if self._seed is None:
            return None
        words = np.random.SeedSequence([self._seed, epoch, number, distributed.rank()]).generate_state(1)
        return torch.Generator().manual_seed(int(words[0]))


def load_splits(config: TrainConfig) -> Splits:
    """Returns the data set, cut to the sizes of the config.

    Raises:
        UserError: the data are missing or broken, or are fewer than a batch.
    """
    splits = load(config.dataset, **config.dataset_options)
    parts = {name: cut(getattr(splits, name), config.sizes[f"{name}_size"]) for name in ("train", "val", "test")}
    batch_size = config.loader.batch_size * distributed.world_size()
    if len(parts["train"]) < batch_size:
        raise UserError(f"a step takes {batch_size} examples and the training split has {len(parts['train'])}")
    return replace(splits, **parts, note="; ".join(filter(None, [splits.note, _note(splits, parts)])))


def cut(dataset: SequenceDataset, size: int | None) -> SequenceDataset:
    """Returns the first `size` examples of a fixed random order (a set that is sorted by class stays balanced); None is all."""
    if size is None or size >= len(dataset):
        return dataset
    order = torch.randperm(len(dataset), generator=torch.Generator().manual_seed(SUBSET_SEED))
    return Subset(dataset, order[:size])


def _note(splits: Splits, parts: dict[str, SequenceDataset]) -> str:
    cut = [f"{len(parts[name]):,} of {len(getattr(splits, name)):,} {name}" for name in parts]
    return f"subset: {', '.join(cut)}" if any(parts[name] is not getattr(splits, name) for name in parts) else ""


@dataclass(frozen=True)
class PlacedSplits:
    """Splits where a run has them; `on_device`: their arrays are on the device, which gathers its batches itself."""

    splits: Splits
    device: torch.device
    on_device: bool = False

    def batches(
        self, part: SequenceDataset, batch_size: int, seed: int | None = None, drop_last: bool = True
    ) -> Batches:
        """Returns the batches of a part of the splits; see `SplitBatches`."""
        batches = SplitBatches(part, batch_size, seed, drop_last)
        return batches if self.on_device else Staged(batches, self.device)


def place(splits: Splits, device: torch.device, stage: str = "auto") -> PlacedSplits:
    """Returns the splits, on the device if `loader.stage` says so; on a CPU nothing changes.

    Raises:
        UserError: the device has no room for data that must be there.
    """
    if device.type == "cpu" or stage == "host":
        return PlacedSplits(splits, device)
    n_bytes, free = splits.n_bytes, torch.cuda.mem_get_info(device)[0]
    if not _has_room(n_bytes, free, stage):
        return PlacedSplits(splits, device)
    return PlacedSplits(splits.placed(Placement(device)), device, on_device=True)


def _has_room(n_bytes: int, free: int, stage: str) -> bool:
    if stage == "device" and n_bytes > free:
        sizes = f"{n_bytes / 2**30:.1f} GiB and {free / 2**30:.1f} GiB are free"
        raise UserError(f"loader.stage=device: the data take {sizes} on the device; use auto or host")
    return stage == "device" or n_bytes <= SHARE * free
