"""How this suite compiles its CPU loops: Numba (LLVM from a wheel, no compiler needed), cached on disk, floating point kept honest.

Numba keys its cache by the file of the outermost function only, so an edited helper in another file would go unnoticed and old machine
code would run. The cache folder here is named by a hash of every file that a compiled function can come from: those that import this
one, and whatever they import, in any folder. A changed line among them means new code.

A function that compiled code calls is `inlined`. Left to itself it would be a weak symbol in the object of each caller, optimised there for
that caller, and the linker takes the copy that a process happens to meet first: the last bits would depend on whether code was compiled or
loaded, and on what ran before.
"""

import ast
import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import llvmlite.binding
import numba

from ..cache import cache_root
from ..resources import PACKAGE

# Sums may be reordered (that is what vectorises) and products contracted; NaN and infinity keep their meaning, so a diverged run is seen.
FASTMATH = {"reassoc", "contract", "arcp", "nsz"}
IN_ORDER = FASTMATH - {"reassoc"}
_OPTIONS = {"fastmath": FASTMATH, "nogil": True, "error_model": "numpy"}
INLINED = {"forceinline": True}
_FOLDER = Path(__file__).resolve().parents[1]


def sources() -> list[Path]:
    """Returns every file that a compiled function of this package can come from, sorted."""
    users = [file for file in _FOLDER.rglob("*.py") if b"jit import " in file.read_bytes()]
    found, todo = set(), users
    while todo:
        file = todo.pop()
        if file not in found:
            found.add(file)
            todo += imported_files(file)
    return sorted(found)


def imported_files(file: Path) -> Iterator[Path]:
    """Yields the files of this package that a file imports anywhere."""
    for node in ast.walk(ast.parse(file.read_bytes())):
        if isinstance(node, ast.ImportFrom):
            base = file.parents[node.level - 1] if node.level else _FOLDER.parent
            module = base.joinpath(*(node.module or "").split("."))
            places = [module, *(module / alias.name for alias in node.names)]
        elif isinstance(node, ast.Import):
            places = [_FOLDER.parent.joinpath(*alias.name.split(".")) for alias in node.names]
        elif isinstance(node, ast.Assign) and file.name == "__init__.py" and _is_places(node):
            places = [file.parent / owner for owner in ast.literal_eval(node.value)]
        else:
            continue
        for place in places:
            yield from filter(Path.is_file, (place.with_suffix(".py"), place / "__init__.py"))


def _is_places(node: ast.Assign) -> bool:
    """Whether it lists the modules whose names a package hands on when they are first asked for (`lazy.attach`)."""
    return [getattr(target, "id", None) for target in node.targets] == ["PLACES"]


def _source_hash() -> str:
    digest = hashlib.sha256(PACKAGE.encode())  # machine code remembers the module that it came from
    for file in sources():
        digest.update(file.read_bytes())
    return digest.hexdigest()[:12]


# LLVM gives up vectorising a loop that would need more than 8 overlap checks between its arrays; ours touch up to a dozen rows.
llvmlite.binding.set_option("", "--runtime-memory-check-threshold=128")
if "NUMBA_CACHE_DIR" not in os.environ:
    numba.config.CACHE_DIR = str(cache_root() / "numba" / _source_hash())


def jit(function: Callable) -> Callable:
    """Compiles a function that Python calls, at its first call for each combination of types; later processes load it from the cache."""
    return numba.njit(cache=True, **_OPTIONS)(function)


def inlined(function: Callable) -> Callable:
    """As `jit`, for a function that compiled functions call: it becomes part of each of them."""
    return numba.njit(cache=True, **_OPTIONS, **INLINED)(function)


def inlined_in_order(function: Callable) -> Callable:
    """As `inlined`, for arithmetic that is exact only in the order in which it is written."""
    return numba.njit(cache=True, **(_OPTIONS | {"fastmath": IN_ORDER}), **INLINED)(function)


def is_compiled() -> bool:
    """Tells whether any loop of this version has been compiled on this machine."""
    folder = cache_folder()
    return folder.is_dir() and any(folder.iterdir())


def cache_folder() -> Path:
    """Returns where the machine code of this version is kept."""
    return Path(numba.config.CACHE_DIR)
