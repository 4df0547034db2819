"""Compiled code gives the same bits whether it was compiled in this process or loaded from the cache, and whatever ran before.

Numba links helpers into the object of each caller as weak symbols. Two copies may be optimised differently, and the linker takes the first
that a process meets; so helpers are inlined, and no object has a symbol of ours left but the function that Python calls.
"""

import hashlib
import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from llvmlite import binding
from numba.core.registry import CPUDispatcher

from src.ops.backend import Operation, values_and_gradients
from src.ops.causal_conv import CAUSAL_CONV
from src.ops.fftconv import FFTCONV
from src.ops.low_rank import S4_KERNEL
from src.ops.scan import SCAN
from src.ops.selective_scan import SELECTIVE_SCAN, selective_scan
from src.theory.fit import FIT

ROOT = Path(__file__).parents[2]
CPU = torch.device("cpu")
OPERATIONS = {operation.name: operation for operation in (SELECTIVE_SCAN, SCAN, CAUSAL_CONV, S4_KERNEL, FFTCONV, FIT)}


def results(operation: Operation) -> list[torch.Tensor]:
    """What the compiled form gives for the operation's probe; and for a block of channels as wide as loops are made for."""
    found = list(operation.probe(operation.forms["compiled"], CPU))
    if operation is SELECTIVE_SCAN:
        generator = torch.Generator().manual_seed(0)
        draw = lambda *shape: torch.randn(*shape, generator=generator)
        leaves = [draw(1, 70, 130), draw(1, 70, 130), -draw(130, 3).abs(), draw(1, 70, 3), draw(1, 70, 3)]
        scan = lambda *x: selective_scan(*x, softplus=True, backend="compiled")
        found += values_and_gradients(scan, [leaf.requires_grad_() for leaf in leaves])
    return found


def bits(operation: Operation) -> str:
    digest = hashlib.sha256()
    for tensor in results(operation):
        tensor = tensor.resolve_conj().contiguous()
        digest.update((torch.view_as_real(tensor) if tensor.is_complex() else tensor).numpy().tobytes())
    return digest.hexdigest()


def run(names: list[str], cache: Path) -> dict[str, str]:
    """The bits of operations, in this order, in a process of its own."""
    environment = os.environ | {"SSM_CACHE": str(cache), "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    environment.pop("NUMBA_CACHE_DIR", None)
    command = [sys.executable, str(Path(__file__)), *names]
    result = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=290)
    assert result.returncode == 0, result.stderr[-2000:]
    return json.loads(result.stdout)


def test_every_operation_with_a_compiled_form_is_here():
    compiled = {path.parent.name for path in (ROOT / "src" / "ops").glob("*/compiled.py")}
    assert compiled == {"selective_scan", "scan", "causal_conv", "low_rank", "fftconv"}
    assert all("compiled" in operation.forms for operation in OPERATIONS.values())


@pytest.mark.slow  # minutes of compiling; the other tests stand in for it
@pytest.mark.parametrize("name", OPERATIONS)
def test_cold_warm_and_another_order_give_the_same_bits(name, tmp_path):
    """A resumed run is a warm process that began elsewhere: with other operations loaded before."""
    cold = run([name], tmp_path)
    assert run([name], tmp_path) == cold
    others = [CAUSAL_CONV.name, SCAN.name]
    assert run([*others, name], tmp_path)[name] == cold[name]
    assert run([*others, name], tmp_path)[name] == cold[name]


def test_cold_and_warm_causal_convolution(tmp_path):
    cold = run([CAUSAL_CONV.name], tmp_path)
    assert run([CAUSAL_CONV.name], tmp_path) == cold


@pytest.mark.parametrize("name", OPERATIONS)
def test_no_symbol_of_ours_is_left_to_the_linker(name):
    results(OPERATIONS[name])
    used = [function for function in entry_points() if function.overloads]
    assert used
    for function in used:
        own = f"{len(function.__name__)}{function.__name__}B"  # as a mangled symbol spells it
        files = list(Path(function._cache.cache_path).glob(f"{function._cache._impl.filename_base}*.nbc"))
        assert files
        for file in files:
            names = [f.name for f in module_of(file).functions if not f.is_declaration and "3src" in f.name]
            assert names
            assert not [name for name in names if own not in name], file.name


def module_of(file: Path) -> binding.ModuleRef:
    """The LLVM module of a file of Numba's cache, as it went to machine code."""
    todo = [pickle.loads(file.read_bytes())]
    while todo:
        item = todo.pop()
        if isinstance(item, bytes) and item.startswith(b"BC\xc0\xde"):
            return binding.parse_bitcode(item)
        todo += item if isinstance(item, tuple) else ()
    raise AssertionError(f"no module in {file}")


def entry_points() -> list[CPUDispatcher]:
    """Every compiled function that Python calls, of all modules of operations and theory that are loaded.

    The generator of Pathfinder's images is compiled without licence to reorder, so inlining cannot change its bits.
    """
    modules = [module for name, module in list(sys.modules.items()) if name.startswith(("src.ops.", "src.theory."))]
    values = [value for module in modules for value in vars(module).values() if isinstance(value, CPUDispatcher)]
    return [function for function in values if not function.targetoptions.get("forceinline")]


if __name__ == "__main__":
    print(json.dumps({name: bits(OPERATIONS[name]) for name in sys.argv[1:]}))
