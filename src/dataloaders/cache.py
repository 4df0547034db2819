"""Arrays made once from raw files and then mapped from disk: by every later run and by every worker process.

A cache folder is named by a hash of what it depends on, is built under a lock beside its final place, and gets its name when
it is whole: nobody reads half a cache, and a killed build leaves nothing that is taken for one. Arrays are plain `.npy`, never pickles.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..cache import cache_root
from ..files import check_regular, reading

_FORMAT = 1  # raise it when what is stored changes its meaning


class MappedArray:
    """The array of a `.npy` file as a tensor mapped from disk; another process receives the path, not the data."""

    def __init__(self, path: Path):
        self.path, self._tensor = path, None

    @property
    def tensor(self) -> Tensor:
        """The array. Its pages are read when they are touched and shared between processes."""
        if self._tensor is None:
            # copy-on-write: torch wants an array that claims to be writable, and the file stays as it is
            self._tensor = torch.from_numpy(cached_array(self.path, "c"))
        return self._tensor

    def __len__(self) -> int:
        return len(self.tensor)

    def __reduce__(self):
        return MappedArray, (self.path,)


def cached_array(path: Path, mmap_mode: str | None = None) -> np.ndarray:
    """Returns an array of a cache folder, read or mapped as `np.load` does.

    Raises:
        UserError: it is damaged; the cache can be made again.
    """
    with reading(path, "an array of the cache", remake(path.parent)):
        check_regular(path)
        return np.load(path, mmap_mode=mmap_mode, allow_pickle=False)


def remake(folder: Path) -> str:
    """What to do about a damaged cache folder."""
    return f"remove {folder}, which is made anew from the raw files"


def cached(source: Path, name: str, depends_on: Mapping[str, Any], build: Callable[[Path], None]) -> Path:
    """Returns the cache folder for `depends_on`, after `build(folder)` has filled it if it was not there.

    Args:
        source: the folder of the raw files; the cache lies in its `.cache`, or in the user's own cache if it is not writable.
        depends_on: settings and fingerprints of the raw files; any change makes a new cache.
    """
    key = hashlib.sha256(json.dumps([_FORMAT, depends_on], sort_keys=True).encode()).hexdigest()[:16]
    home = _home(source)
    folder = home / f"{name}-{key}"
    if folder.is_dir():
        return folder
    with _lock(home / f"{name}-{key}.lock"):
        if not folder.is_dir():
            scratch = home / f"{name}-{key}.building"
            shutil.rmtree(scratch, ignore_errors=True)
            scratch.mkdir()
            build(scratch)
            os.replace(scratch, folder)
    return folder


def fingerprint(paths: Iterable[Path]) -> list[list[Any]]:
    """Returns name, size and time of change of each file, or of each folder: enough to see that raw data were exchanged."""
    stats = ((path, path.stat()) for path in paths)
    return [[path.name, stat.st_size if path.is_file() else 0, stat.st_mtime_ns] for path, stat in stats]


def _home(source: Path) -> Path:
    home = source.resolve() / ".cache"
    with contextlib.suppress(OSError):
        home.mkdir(exist_ok=True)
    if not os.access(home, os.W_OK):
        home = cache_root() / "data" / hashlib.sha256(str(home).encode()).hexdigest()[:16]
        home.mkdir(parents=True, exist_ok=True)
    return home


@contextlib.contextmanager
def _lock(path: Path) -> Iterator[None]:
    """Waits for the lock of `path`; the kernel releases it when its holder dies."""
    with open(path, "ab") as file:
        with contextlib.suppress(OSError):  # a file system without locks: two builders do the work twice, harmlessly
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
