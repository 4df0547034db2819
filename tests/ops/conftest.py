"""Shared by the tests of operations and kernels."""

import importlib.util

import pytest
import torch


@pytest.fixture(autouse=True, scope="session")
def quick_interpreter():
    """Triton's interpreter prepares its language at every call of a helper; once a module and kernel takes a third of the time."""
    if importlib.util.find_spec("triton") is None:
        yield
        return
    from triton.runtime import interpreter

    ready: set[str] = set()
    run_kernel = interpreter.GridExecutor.__call__

    def run(self, *arguments, **options):
        ready.clear()
        return run_kernel(self, *arguments, **options)

    def call(self, *arguments, **options):
        if self.fn.__module__ not in ready:
            interpreter._patch_lang(self.fn)
            ready.add(self.fn.__module__)
        return self.rewrite()(*arguments, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(interpreter.GridExecutor, "__call__", run)
        patch.setattr(interpreter.InterpretedFunction, "__call__", call)
        yield


@pytest.fixture
def poisoned():
    """Fills what `torch.empty` returns with NaN, so that an entry nobody wrote is seen."""
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)
