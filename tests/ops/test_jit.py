"""The cache of compiled code: an edit in any file that a compiled function uses, in any folder, makes new code."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from src.ops import jit

ROOT = Path(__file__).parents[2]
HELPER = '''"""A helper two folders away from the loop that uses it."""

from src.ops.jit import jit


@jit
def helped(x):
    """Doubles."""
    return 2 * x
'''
LOOP = '''"""A loop."""

from src.linalg.deep.helper import helped
from src.ops.jit import jit


@jit
def total(n):
    """Sums helped numbers."""
    s = 0
    for i in range(n):
        s += helped(i)
    return s
'''
SHOW = "from src.theory.looping import total; print(total(4), sum(total.stats.cache_hits.values()))"


@pytest.fixture
def copy(tmp_path):
    """What compiled loops need, in a place of its own, with a loop in one folder and its helper in another."""
    for name in ("__init__.py", "cache.py", "errors.py", "resources.py", "ops/__init__.py", "ops/jit.py"):
        (tmp_path / "src" / name).parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / "src" / name).exists():
            shutil.copy(ROOT / "src" / name, tmp_path / "src" / name)
    for name, text in (("linalg/deep/helper.py", HELPER), ("theory/looping.py", LOOP)):
        (tmp_path / "src" / name).parent.mkdir(parents=True)
        (tmp_path / "src" / name).write_text(text)
    return tmp_path


def run(copy: Path) -> list[str]:
    environment = os.environ | {"SSM_CACHE": str(copy / "cache"), "PYTHONPATH": str(copy)}
    environment.pop("NUMBA_CACHE_DIR", None)
    command = [sys.executable, "-c", SHOW]
    return subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True, check=True).stdout.split()


def test_an_edited_helper_two_folders_away_is_new_code(copy):
    assert run(copy) == ["12", "0"]
    assert run(copy) == ["12", "1"]  # from the cache
    helper = copy / "src" / "linalg" / "deep" / "helper.py"
    helper.write_text(HELPER.replace("2 * x", "3 * x"))
    assert run(copy) == ["18", "0"]


def test_every_file_with_compiled_code_is_in_the_key():
    names = {str(path.relative_to(ROOT / "src")) for path in jit.sources()}
    compiled = {
        str(path.relative_to(ROOT / "src")) for path in (ROOT / "src").rglob("*.py") if "\n@jit" in path.read_text()
    }
    assert compiled <= names
    assert "ops/elementary.py" in names
