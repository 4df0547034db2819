"""The wanted files of a tar archive, and nothing else: no path leaves the target, no link or device is made."""

import lzma
import re
import shutil
import tarfile
import zlib
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from tqdm import tqdm

from ...errors import UserError


def unpack(archive: Path, target: Path, wanted: Callable[[str], str | None], limit: int) -> int:
    """Writes the wanted files of `archive` (tar, plain or compressed) under `target`; returns how many.

    Args:
        wanted: from a name in the archive to a path under the target, or None.
        limit: bytes that the wanted files may have together.

    Raises:
        UserError: the archive is torn or no tar archive, unpacks to more than the limit, a name in it leads outside, or a wanted
            name is a link or a device.
    """
    n = size = 0
    try:
        with (
            open(archive, "rb") as file,
            tqdm.wrapattr(file, "read", total=archive.stat().st_size, desc=archive.name, disable=None) as stream,
            tarfile.open(fileobj=stream, mode="r|*") as tar,
        ):
            for member in tar:
                place = _place(archive, member, wanted)
                if place is not None:
                    size += member.size
                    if size > limit:
                        raise UserError(
                            f"{archive} is refused: it unpacks to more than {limit / 1e9:g} GB, far more than the set has"
                        )
                    _write(tar, member, target / place)
                    n += 1
    except (tarfile.TarError, EOFError, zlib.error, lzma.LZMAError, ValueError, OverflowError) as error:
        raise UserError(f"{archive} is torn or no tar archive ({error}); fetch it again") from None
    except OSError as error:
        raise UserError(f"{archive}: cannot be unpacked ({error})") from None
    return n


def _place(archive: Path, member: tarfile.TarInfo, wanted: Callable[[str], str | None]) -> str | None:
    name = member.name.removeprefix("./")
    if name.startswith("/") or ".." in PurePosixPath(name).parts:
        raise UserError(f"{archive} is refused: the name {member.name!r} in it leads outside the target")
    if member.isdir():
        return None
    place = wanted(name)
    if place is not None and not member.isfile():
        raise UserError(f"{archive} is refused: {member.name!r} in it is a link or a device")
    return place


def _write(tar: tarfile.TarFile, member: tarfile.TarInfo, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "wb") as out:
        shutil.copyfileobj(tar.extractfile(member), out)


def by_pattern(pattern: str) -> Callable[[str], str | None]:
    """Returns a `wanted` that takes the names which match `pattern` as a whole, to the path of its group `path`."""
    compiled = re.compile(pattern)

    def wanted(name: str) -> str | None:
        match = compiled.fullmatch(name)
        return match["path"] if match else None

    return wanted
