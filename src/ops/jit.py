"""How this suite compiles its CPU loops: Numba (LLVM from a wheel, no compiler needed), cached on disk, floating point kept honest.

Numba keys its cache by the file of the outermost function only, so an edited helper in another file would go unnoticed and old machine
code would run. The cache folder here is named by a hash of every source file that may hold compiled code: a changed line means new code.
"""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import llvmlite.binding
import numba

from src.cache import cache_root
from src.resources import PACKAGE

# Sums may be reordered (that is what vectorises) and products contracted; NaN and infinity keep their meaning, so a diverged run is seen.
FASTMATH = {"reassoc", "contract", "arcp", "nsz"}
IN_ORDER = FASTMATH - {"reassoc"}
_SOURCES = ("ops", "theory")


def _source_hash() -> str:
    digest = hashlib.sha256(PACKAGE.encode())  # machine code remembers the module that it came from
    for folder in _SOURCES:
        for file in sorted((Path(__file__).parent.parent / folder).rglob("*.py")):
            digest.update(file.read_bytes())
    return digest.hexdigest()[:12]


# LLVM gives up vectorising a loop that would need more than 8 overlap checks between its arrays; ours touch up to a dozen rows.
llvmlite.binding.set_option("", "--runtime-memory-check-threshold=128")
if "NUMBA_CACHE_DIR" not in os.environ:
    numba.config.CACHE_DIR = str(cache_root() / "numba" / _source_hash())


def jit(function: Callable) -> Callable:
    """Compiles `function` at its first call for each combination of argument types; later processes load it from the cache."""
    return numba.njit(cache=True, fastmath=FASTMATH, nogil=True, error_model="numpy")(function)


def jit_in_order(function: Callable) -> Callable:
    """As `jit`, for arithmetic that is exact only in the order in which it is written."""
    return numba.njit(cache=True, fastmath=IN_ORDER, nogil=True, error_model="numpy")(function)
