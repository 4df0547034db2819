"""Sees where the host reads a value of a tensor: on a GPU it would wait there for the device."""

import contextlib
from collections.abc import Iterator
from unittest import mock

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

READING = {
    *("_local_scalar_dense", "item", "is_nonzero", "equal", "nonzero", "masked_select", "repeat_interleave"),
    *("_unique", "_unique2", "unique_dim", "unique_consecutive", "_linalg_check_errors"),
}
METHODS = ("cpu", "tolist")  # `numpy` is an error on a GPU, not a wait
MAKERS = ("tensor", "as_tensor")  # of a number, with a device: made on the host, copied, and waited for


class Waits(TorchDispatchMode):
    """Collects the operations that read values, and copies between devices that are waited for."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        name = func.overloadpacket.__name__
        tensors = [x for x in tree_leaves((args, kwargs)) if isinstance(x, torch.Tensor)]
        masks = name in ("index", "index_put_", "index_put") and any(
            x.dtype == torch.bool for x in tree_leaves(args[1])
        )
        if name in READING or masks:
            self.found.append(name)
        out = func(*args, **kwargs)
        moved = name in ("_to_copy", "copy_") and any(x.device != out.device for x in tensors)
        if moved and not (kwargs.get("non_blocking") or args[2:] == (True,)):
            self.found.append(f"{name} to {out.device}")
        return out


@contextlib.contextmanager
def watched() -> Iterator[list[str]]:
    """While held, the returned list collects what would wait."""
    with contextlib.ExitStack() as stack:
        waits = stack.enter_context(Waits())
        for method in METHODS:
            stack.enter_context(mock.patch.object(torch.Tensor, method, _noted(method, waits.found)))
        for maker in MAKERS:
            stack.enter_context(mock.patch.object(torch, maker, _noted_copy(maker, waits.found)))
        yield waits.found


def _noted(name: str, found: list[str]):
    original = getattr(torch.Tensor, name)

    def method(self, *args, **kwargs):
        found.append(name)
        return original(self, *args, **kwargs)

    return method


def _noted_copy(name: str, found: list[str]):
    original = getattr(torch, name)

    def maker(data, *args, **kwargs):
        if kwargs.get("device") is not None and not isinstance(data, torch.Tensor):
            found.append(name)
        return original(data, *args, **kwargs)

    return maker
