"""Where the arrays of data sets lie: on the host, or on a GPU that then gathers its batches itself."""

import torch
from torch import Tensor

from .cache import MappedArray


class Placement:
    """Copies arrays to a device, each once however many splits share it. On the device "meta" it only counts."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._kept: dict[int, tuple[Tensor, Tensor]] = {}  # with the original, so that no other gets its id

    def keep(self, array: Tensor | MappedArray) -> Tensor:
        """Returns the array on the device."""
        array = tensor_of(array)
        if id(array) not in self._kept:
            self._kept[id(array)] = array, array.to(self._device)
        return self._kept[id(array)][1]

    @property
    def n_bytes(self) -> int:
        """Size of all arrays that it was given."""
        return sum(original.nbytes for original, _ in self._kept.values())


def tensor_of(array: Tensor | MappedArray) -> Tensor:
    """Returns the array as a tensor."""
    return array.tensor if isinstance(array, MappedArray) else array


def send(x: Tensor, device: torch.device) -> Tensor:
    """Returns x, from the host, on the device; a GPU copies it while the host goes on."""
    if device.type == "cpu":
        return x
    return (x.pin_memory() if device.type == "cuda" else x).to(device, non_blocking=True)
