"""Files that others made: read within limits, and whatever is wrong with one said in a line; and whether a file can be written.

A file that cannot be used raises `UserError` with its name, what was expected and, where the caller knows it, how to get it again. Nothing
is allocated because a header says so: sizes are compared with the file, and what unpacks is read only up to a limit.
"""

import ast
import contextlib
import gzip
import json
import os
import stat
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from .errors import UserError

_BLOCK = 1 << 20
_NPY_HEADER = 4096  # bytes that surely hold the header of an array of plain numbers


def check_file(path: Path, suffixes: Sequence[str] = ()) -> None:
    """Raises UserError where a file cannot be written, before anything is computed for it; nothing of the attempt stays behind.

    Args:
        suffixes: that its name may have; any where there are none.
    """
    if suffixes and path.suffix not in suffixes:
        raise UserError(f"cannot write '{path}': the name must end in {' or '.join(suffixes)}")
    if path.is_dir():
        raise UserError(f"cannot write '{path}': it is a folder")
    there = next(folder for folder in path.absolute().parents if folder.exists())
    try:
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        raise UserError(
            f"cannot write '{path}': '{there}' is not a folder that can be written to ({error.strerror})"
        ) from None


@contextlib.contextmanager
def reading(path: Path, expected: str, fix: str = "") -> Iterator[None]:
    """Turns whatever a decoder raises on the bytes of `path` into a UserError.

    Args:
        expected: what the file should have been, such as "a PNG image".
        fix: how to get a good one; ends the line.
    """
    try:
        yield
    except UserError:
        raise
    except OSError as error:
        raise unusable(
            path, f"cannot be read ({error.strerror or _one_line(error)}), expected {expected}", fix
        ) from None
    except UnicodeDecodeError as error:
        raise unusable(path, f"byte {error.start} is not UTF-8 text, expected {expected}", fix) from None
    except Exception as error:  # decoders raise what they like on foreign bytes, and nothing but a decoder stands here
        raise unusable(
            path, f"expected {expected}, but it is cut, damaged or something else ({_one_line(error)})", fix
        ) from None


def unusable(path: Path, found: str, fix: str = "", line: int | None = None) -> UserError:
    """Returns the error for a file: its name (and line), what is wrong, how to get a good one."""
    place = path if line is None else f"{path}:{line}"
    return UserError(f"{place}: {found}{'; ' if fix else ''}{fix}")


def _one_line(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 120 else f"{text[:117]}..."


def check_regular(path: Path) -> int:
    """Returns the size of a plain file. Raises OSError for a folder, a pipe or a device, which may never end."""
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise OSError(f"is a {'folder' if stat.S_ISDIR(status.st_mode) else 'pipe or a device'}")
    return status.st_size


def read_bytes(path: Path, limit: int, expected: str, fix: str = "") -> bytes:
    """Returns the contents of a file, unpacked if its name ends in .gz. Raises UserError if it has more than `limit` bytes."""
    with reading(path, expected, fix):
        packed = path.suffix == ".gz"
        if not packed and check_regular(path) > limit:
            raise _too_large(path, limit, expected, fix)
        check_regular(path)
        with gzip.open(path) if packed else open(path, "rb") as file:
            data = _read_within(file, limit)
    if data is None:
        raise _too_large(path, limit, expected, fix)
    return data


def _read_within(file: BinaryIO, limit: int) -> bytes | None:
    """Reads to the end block by block, so that memory grows with what is there; None if that is more than `limit`."""
    data = bytearray()
    while block := file.read(_BLOCK):
        data += block
        if len(data) > limit:
            return None
    return bytes(data)


def _too_large(path: Path, limit: int, expected: str, fix: str) -> UserError:
    return unusable(path, f"holds more than {limit:,} bytes, expected {expected}", fix)


def read_text(path: Path, limit: int, expected: str, fix: str = "") -> str:
    """Returns UTF-8 text, line ends as '\\n'. Raises UserError if it is none or has more than `limit` bytes."""
    data = read_bytes(path, limit, expected, fix)
    with reading(path, expected, fix):
        return data.decode("utf-8").replace("\r\n", "\n").replace("\r", "\n")


def read_lines(path: Path, longest: int, expected: str, fix: str = "") -> Iterator[str]:
    """Yields the lines of UTF-8 text with their '\\n'. Raises UserError if it is none or a line has more than `longest` characters."""
    with reading(path, expected, fix):
        check_regular(path)
        with open(path, encoding="utf-8", newline="\n") as file:
            while line := file.readline(longest + 1):
                if len(line) > longest:
                    raise unusable(path, f"a line has more than {longest:,} characters, expected {expected}", fix)
                yield line


def read_json(path: Path, expected: str, fix: str = "", limit: int = _BLOCK) -> dict[str, Any]:
    """Returns the mapping that a JSON file holds. Raises UserError if it holds anything else."""
    data = read_bytes(path, limit, expected, fix)
    with reading(path, expected, fix):
        found = json.loads(data)
    if not isinstance(found, dict):
        raise unusable(path, f"expected {expected}, found a {type(found).__name__}", fix)
    return found


def read_npz(path: Path, expected: str, fix: str = "") -> dict[str, np.ndarray]:
    """Returns the arrays of an `.npz` file, never a pickle.

    Raises:
        UserError: not such a file, an array of Python objects, a header that declares another size than there is, or more than
            the memory of this machine.
    """
    with reading(path, expected, fix):
        check_regular(path)
        with zipfile.ZipFile(path) as archive:
            _check_members(path, archive, fix)
            return {
                member.removesuffix(".npy"): _read_member(path, archive, member, fix) for member in archive.namelist()
            }


def _check_members(path: Path, archive: zipfile.ZipFile, fix: str) -> None:
    total = sum(member.file_size for member in archive.infolist())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if total > memory:
        raise unusable(path, f"unpacks to {total / 2**30:,.1f} GiB, more than this machine's memory", fix)
    names = archive.namelist()
    foreign = [name for name in names if not name.endswith(".npy")]
    if foreign or len(set(names)) < len(names):
        raise unusable(path, f"expected arrays, found {foreign[0] if foreign else 'one name twice'!r}", fix)


def _read_member(path: Path, archive: zipfile.ZipFile, member: str, fix: str) -> np.ndarray:
    """The header is read by itself first: numpy would allocate whatever it says."""
    with archive.open(member) as file:
        head = file.read(_NPY_HEADER)
    start, dtype, shape = _npy_header(head)
    size = archive.getinfo(member).file_size - start
    if dtype.hasobject:
        raise unusable(path, f"{member} holds Python objects, expected numbers or text", fix)
    n = dtype.itemsize
    for length in shape:
        n *= length  # whole numbers of Python: no overflow
    if n != size:
        raise unusable(path, f"{member} declares {n:,} bytes and has {size:,}", fix)
    with archive.open(member) as file:
        return np.lib.format.read_array(file, allow_pickle=False)


def _npy_header(head: bytes) -> tuple[int, np.dtype, tuple[int, ...]]:
    """Returns where the data of a `.npy` begin, their type and shape, from its first bytes. Raises ValueError if it is none."""
    if head[:6] != b"\x93NUMPY" or head[6:7] not in (b"\x01", b"\x02", b"\x03"):
        raise ValueError("not a NumPy array")
    width = 2 if head[6] == 1 else 4
    start = 8 + width + int.from_bytes(head[8 : 8 + width], "little")
    if start > len(head):
        raise ValueError("a header too long for an array of numbers")
    header = ast.literal_eval(head[8 + width : start].decode("latin1"))
    shape = header["shape"]
    if not all(isinstance(length, int) and length >= 0 for length in shape):
        raise ValueError(f"shape {shape}")
    return start, np.dtype(header["descr"]), shape
