"""Every fused kernel compiles for real cards, A100 (8.0) and H100 (9.0), at the papers' sizes; no card is needed for that."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("triton", reason="Triton has no build for this platform")

ROOT = Path(__file__).parents[3]
FUSED = [path for path in (ROOT / "src").rglob("*.py") if "@triton.jit" in path.read_text()]
SHARED_LIMIT = 101_376  # bytes a program may have on the smallest of today's cards (8.6, 8.9)


def kernels() -> set[str]:
    """Names of the kernels that are launched: a public `@triton.jit` function; helpers begin with an underscore."""
    found = set()
    for path in FUSED:
        names = re.findall(r"^@triton\.jit\b.*\n(?:@.*\n)*def ([a-z]\w*)\(", path.read_text(), re.MULTILINE)
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        found |= {f"{module}.{name}" for name in names}
    return found


@pytest.mark.parametrize("capability", [80, 90])
def test_every_kernel_compiles_and_spills_nothing(capability):
    environment = os.environ | {"TRITON_INTERPRET": "0", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "tests.ops.triton.compile_only", str(capability)]
    run = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=280)
    assert run.returncode == 0, run.stderr[-3000:]
    usage = json.loads(run.stdout.splitlines()[-1])
    assert set(usage) == kernels()
    for name, used in usage.items():
        assert used["stack"] == 0, f"{name} spills {used}"
        assert used["shared"] <= SHARED_LIMIT, f"{name} wants too much shared memory: {used}"
