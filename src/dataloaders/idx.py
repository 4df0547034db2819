"""The IDX format of MNIST: two zero bytes, a type byte, the number of dimensions, their sizes (32-bit, big endian), the data."""

from pathlib import Path

import numpy as np

from ..files import read_bytes
from .layout import Layout

LIMIT = 1 << 30  # bytes; no set of this layout comes near it
_UNSIGNED_BYTE = 8


def find_idx(folder: Path, stem: str) -> Path | None:
    """Returns the file `stem`, plain or gzipped."""
    return next((path for path in (folder / stem, folder / f"{stem}.gz") if path.is_file()), None)


def read_idx(path: Path, item: tuple[int, ...], layout: Layout) -> np.ndarray:
    """Returns the array (N, *item) of unsigned bytes in a plain or gzipped IDX file.

    Raises:
        UserError: the file is not such a file, holds items of another shape, or other bytes than its header says.
    """
    dimensions = 1 + len(item)
    data = read_bytes(path, LIMIT, "an IDX file", layout.again)
    header = 4 + 4 * dimensions
    if len(data) < header or data[:4] != bytes([0, 0, _UNSIGNED_BYTE, dimensions]):
        raise layout.error(path, f"not an IDX file of {dimensions} dimensions")
    n, *found = np.frombuffer(data, ">u4", dimensions, 4).tolist()
    if tuple(found) != item:
        raise layout.error(path, f"items of {' x '.join(map(str, found))} bytes, expected {' x '.join(map(str, item))}")
    if len(data) - header != n * int(np.prod(item)):
        raise layout.error(path, f"{len(data) - header:,} bytes do not hold {' x '.join(map(str, (n, *item)))}")
    return np.frombuffer(data, np.uint8, offset=header).reshape(n, *item)
