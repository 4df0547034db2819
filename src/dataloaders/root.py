"""Where data live: `./data`, or the environment variable DATA_PATH, or a set's own `data_dir`."""

import os
from collections.abc import Iterable
from pathlib import Path

from ..errors import UserError
from ..resources import resource

RECORD = "generator.json"  # stands in the folder of a set that was generated here, with its settings
EMBEDDED = resource("data")  # the small files that ship with the project


def data_root() -> Path:
    """The folder that holds one folder a data set."""
    return Path(os.environ.get("DATA_PATH") or "data")


def find_folder(name: str, data_dir: str | None, folders: Iterable[str], probe: Iterable[str], how: str = "") -> Path:
    """Returns the first folder that holds one of the files or folders `probe`.

    Args:
        name: of the data set, as in `prepare NAME`.
        data_dir: the user's own place; None looks under `data_root()`.
        folders: where to look under either, relative.
        probe: names, any of which shows that the folder is the right one.
        how: what else to tell a user who does not have the data.

    Raises:
        UserError: no such folder; says where it was looked for and how to get the data.
    """
    base = data_root() if data_dir is None else Path(data_dir).expanduser()
    candidates = [base / folder for folder in folders] + ([base] if data_dir is not None else [])
    for folder in candidates:
        if any((folder / file).exists() for file in probe):
            return folder
    hint = how or f"run `python -m src.dataloaders prepare {name}`"
    raise UserError(
        f"{name}: no {'/'.join(probe)} in {' or '.join(map(str, candidates))}; {hint}, or set dataset.data_dir"
    )
