"""Compiles fused kernels for real cards on a machine without one: what a launch would compile, down to machine code, and nothing runs.

Run as a program, in a process of its own: Triton must not be in interpreter mode. `usage` is then the registers, spilled bytes and
shared memory of each kernel that the functions `CASES` of the tests' files `triton_cases.py` launch, printed as JSON.
"""

import importlib
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
import triton
from triton.backends.compiler import GPUTarget
from triton.backends.driver import DriverBase
from triton.runtime import driver

import src.ops.triton.launch as launching

CUOBJDUMP = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / "cuobjdump"


class NoCard(DriverBase):
    """Stands for a CUDA driver as far as the compiler asks."""

    def __init__(self, capability: int) -> None:
        self._target = GPUTarget("cuda", capability, 32)

    @classmethod
    def is_active(cls) -> bool:
        return True

    def get_current_target(self) -> GPUTarget:
        return self._target

    def get_current_device(self) -> int:
        return 0

    def get_current_stream(self, device: int) -> int:
        return 0

    def get_active_torch_device(self) -> torch.device:
        return torch.device("cpu")

    def map_python_to_cpp_type(self, name: str) -> str:
        return name

    def get_benchmarker(self):
        raise NotImplementedError


def compile_instead(capability: int, seen: dict[str, dict[str, int]]) -> None:
    """Replaces `launch`: kernels are compiled for a card of `capability`, and what they use is kept in `seen`."""
    driver.set_active(NoCard(capability))

    def compiled(kernel, grid, *arguments, **options):
        if 0 in grid:
            return
        binary = kernel.warmup(*arguments, grid=tuple(grid), **options)
        name = f"{kernel.fn.__module__}.{kernel.fn.__name__}"
        usage = resources(binary.asm["cubin"]) | {"shared": binary.metadata.shared}
        seen[name] = {key: max(value, seen.get(name, {}).get(key, 0)) for key, value in usage.items()}

    launching.launch = compiled
    for module in list(sys.modules.values()):
        if getattr(module, "__name__", "").startswith("src.") and hasattr(module, "launch"):
            module.launch = compiled


def resources(cubin: bytes) -> dict[str, int]:
    """Returns registers a thread and bytes of stack a thread (spills) of a binary."""
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(cubin)
        file.flush()
        text = subprocess.run(
            [CUOBJDUMP, "--dump-resource-usage", file.name], capture_output=True, text=True, check=True
        ).stdout
    found = re.search(r"REG:(\d+) STACK:(\d+)", text)
    return {"registers": int(found[1]), "stack": int(found[2])}


def all_cases() -> list:
    """Returns the functions that call every fused operation, forward and backward, at the papers' sizes."""
    tests = Path(__file__).parents[2]
    names = [".".join(path.relative_to(tests.parent).with_suffix("").parts) for path in tests.rglob("triton_cases.py")]
    return [case for name in sorted(names) for case in importlib.import_module(name).CASES]


if __name__ == "__main__":
    cases, usage = all_cases(), {}
    compile_instead(int(sys.argv[1]), usage)
    for case in cases:
        case()
    print(json.dumps(usage))
