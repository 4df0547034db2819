"""The IDX format of MNIST: two zero bytes, a type byte, the number of dimensions, their sizes (32-bit, big endian), the data."""

import gzip
import zlib
from pathlib import Path

import numpy as np

from ..errors import UserError

_UNSIGNED_BYTE = 8


def find_idx(folder: Path, stem: str) -> Path | None:
    """Returns the file `stem`, plain or gzipped."""
    return next((path for path in (folder / stem, folder / f"{stem}.gz") if path.is_file()), None)


def read_bytes(path: Path) -> bytes:
    """Returns the contents of a plain or gzipped file. Raises UserError if it cannot be read."""
    try:
        return gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"{path}: cannot be read ({error}); prepare the set again") from None


def read_idx(path: Path, dimensions: int) -> np.ndarray:
    """Returns the array of unsigned bytes in a plain or gzipped IDX file.

    Raises:
        UserError: the file is not such a file, or is cut short.
    """
    data = read_bytes(path)
    header = 4 + 4 * dimensions
    if len(data) < header or data[:4] != bytes([0, 0, _UNSIGNED_BYTE, dimensions]):
        raise UserError(f"{path}: not an IDX file of {dimensions} dimensions; prepare the set again")
    shape = np.frombuffer(data, ">i4", dimensions, 4)
    if len(data) != header + np.prod(shape, dtype=np.int64):
        raise UserError(f"{path}: {len(data)} bytes do not hold {' x '.join(map(str, shape))}; prepare the set again")
    return np.frombuffer(data, np.uint8, offset=header).reshape(shape)
