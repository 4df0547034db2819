"""Where all that can be rebuilt is kept: compiled loops, solved perturbations, prepared data that cannot lie beside its source."""

import os
import sys
import tempfile
from pathlib import Path

_NAME = "ssm-experiments"


def cache_root() -> Path:
    """`$SSM_CACHE`, or else `~/.cache/ssm-experiments`; it need not exist.

    Where it cannot be written to (no home, a read-only one) a folder of this user for temporary files takes its place. That is said once,
    and holds for the processes that this one starts.
    """
    wanted = os.environ.get("SSM_CACHE")
    if not wanted:
        try:
            wanted = str(Path.home() / ".cache" / _NAME)
        except RuntimeError:  # neither HOME nor an entry in passwd
            wanted = ""
    if wanted and _can_be_written(Path(wanted)):
        return Path(wanted)
    instead = _temporary_folder()
    os.environ["SSM_CACHE"] = str(instead)
    os.environ.setdefault("MPLCONFIGDIR", str(instead / "matplotlib"))  # it would look for a home as well
    missing = f"{wanted} cannot be written to" if wanted else "there is no home folder"
    print(f"cache: {missing}; using {instead} (SSM_CACHE=FOLDER names a lasting one)", file=sys.stderr)
    return instead


def _can_be_written(folder: Path) -> bool:
    """Tells whether the folder, or the first one above it that is there, takes new files; makes nothing."""
    for place in (folder, *folder.absolute().parents):
        if os.path.lexists(place):
            return place.is_dir() and os.access(place, os.W_OK | os.X_OK)
    return False


def _temporary_folder() -> Path:
    """The same for all processes of this user; a new one where another user has taken its name."""
    folder = Path(tempfile.gettempdir()) / f"{_NAME}-{os.getuid()}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        status = folder.lstat()
        if folder.is_dir() and not folder.is_symlink() and status.st_uid == os.getuid() and not status.st_mode & 0o022:
            return folder
    except OSError:
        pass
    return Path(tempfile.mkdtemp(prefix=f"{_NAME}-"))
