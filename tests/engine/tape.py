"""What stands in for CUDA graphs on a CPU: a tape that records operations with the very tensors they used, and repeats just these.

As in a graph, numbers of Python are frozen, memory stays where it was, and capturing changes none of it.
"""

from collections.abc import Callable
from functools import partial

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class Tape(TorchDispatchMode):
    """Records what runs inside."""

    def __init__(self) -> None:
        super().__init__()
        self.entries, self._before = [], []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        for argument, value in zip(func._schema.arguments, args, strict=False):
            # batch norm writes its running statistics, and its signature does not say so
            if "batch_norm" in func.__name__ or (argument.alias_info is not None and argument.alias_info.is_write):
                self._before += [(x, x.clone()) for x in tree_leaves(value) if isinstance(x, torch.Tensor)]
        out = func(*args, **kwargs)
        self.entries.append((func, args, kwargs, out))
        return out

    def undo(self) -> None:
        for tensor, before in reversed(self._before):
            tensor.detach().copy_(before)
        self._before.clear()

    @torch.no_grad()
    def replay(self) -> None:
        for func, args, kwargs, out in self.entries:
            again = func(*args, **kwargs)
            for old, new in zip(tree_leaves(out), tree_leaves(again), strict=True):
                if isinstance(old, torch.Tensor) and old.data_ptr() != new.data_ptr():
                    old.detach().copy_(new)


class TapeCapture:
    """Makes tapes where `CudaCapture` makes graphs; counts what it was asked for."""

    def __init__(self) -> None:
        self.warmed = self.captured = self.replayed = 0

    def warm_up(self, run: Callable[[], None]) -> None:
        self.warmed += 1
        run()

    def __call__(self, run: Callable[[], None]) -> Callable[[], None]:
        self.captured += 1
        tape, generator = Tape(), torch.get_rng_state()
        with tape:
            run()
        tape.undo()
        torch.set_rng_state(generator)
        return partial(self._replay, tape)

    def _replay(self, tape: Tape) -> None:
        self.replayed += 1
        tape.replay()
