"""One file from the network: goes on where it was cut off, and gets its name only when its checksum is right."""

import hashlib
import http.client
import urllib.error
import urllib.request
from pathlib import Path

from tqdm import tqdm

from ...errors import UserError

TRIES = 3  # how often a transfer that was cut off is taken up again before the user is asked
TIMEOUT = 30.0  # seconds without a byte
_BLOCK = 1 << 20
_ALREADY_WHOLE = 416  # the server has nothing from that byte on


class UnreachableError(Exception):
    """The server cannot be reached, or has no such file."""


def fetch(url: str, path: Path, md5: str) -> None:
    """Downloads `url` to `path`, by way of `path.part`, which a later call goes on with.

    Raises:
        UnreachableError: no answer, or a refusal.
        UserError: the transfer was cut off again and again (the part is kept), or the checksum is wrong (the part is removed).
    """
    part = path.with_name(f"{path.name}.part")
    path.parent.mkdir(parents=True, exist_ok=True)
    if not any(_transfer(url, part) for _ in range(TRIES)):
        size = part.stat().st_size if part.is_file() else 0
        raise UserError(f"{url}: cut off after {size:,} bytes; run the same command again to go on from there")
    found = file_md5(part)
    if found != md5:
        part.unlink()
        raise UserError(
            f"{url}: checksum {found} instead of {md5}; the file was removed, run the command again or use --archive"
        )
    part.replace(path)


def file_md5(path: Path) -> str:
    """Returns the md5 of a file as hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest()


def _transfer(url: str, part: Path) -> bool:
    """Adds to `part` what the server still has; returns whether it is whole now."""
    start = part.stat().st_size if part.is_file() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={start}-"} if start else {})
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT) as response:
            resumed = response.headers.get("Content-Range", "").startswith(f"bytes {start}-")
            return _save(response, part, start if resumed else 0, Path(url).name)
    except urllib.error.HTTPError as error:
        if error.code == _ALREADY_WHOLE and start:
            return True
        raise UnreachableError(f"{url} answers {error.code} {error.reason}") from None
    except urllib.error.URLError as error:
        raise UnreachableError(f"cannot reach {url} ({error.reason})") from None
    except (TimeoutError, ConnectionError, http.client.HTTPException):
        return False


def _save(response: http.client.HTTPResponse, part: Path, start: int, title: str) -> bool:
    length = response.headers.get("Content-Length")
    total = None if length is None else start + int(length)
    with (
        open(part, "ab" if start else "wb") as file,
        tqdm(total=total, initial=start, desc=title, unit="B", unit_scale=True, disable=None) as bar,
    ):
        while block := response.read(_BLOCK):
            file.write(block)
            bar.update(len(block))
        return total is None or file.tell() == total
