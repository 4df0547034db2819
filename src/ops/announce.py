"""Says that loops are about to be compiled.

A file of its own: whoever imports names of `jit` may hold compiled code, and its text decides whether compiled code is still good.
"""

from . import jit


def announce_compilation() -> None:
    """Says so where nothing of this version has been compiled on this machine yet, which takes a minute or two once."""
    if not jit.is_compiled():
        where = f"the first time on this machine (kept in {jit.cache_folder()})"
        print(f"compiling the CPU loops: a minute or two, {where}", flush=True)
