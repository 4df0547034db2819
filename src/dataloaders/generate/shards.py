"""Work cut into shards that any number of processes do in any order: what is made depends on the seed alone, and a killed run goes on."""

import json
import os
from collections.abc import Callable, Iterable, Mapping
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from tqdm import tqdm

from ...errors import UserError
from ...files import read_json
from ..layout import RECORD


def open_record(folder: Path, record: Mapping[str, Any]) -> None:
    """Makes `folder` for the set that `record` describes, or goes on with it.

    Raises:
        UserError: the folder holds something else: other settings, or files that were not generated.
    """
    path = folder / RECORD
    if path.exists():
        found = read_json(path, "the settings of the generator", f"remove {folder} or use another --root")
        wanted = json.loads(json.dumps(record))
        if found != wanted:
            changed = ", ".join(f"{key} = {found.get(key)!r}" for key in wanted if found.get(key) != wanted[key])
            raise UserError(
                f"{folder} holds a set generated with other settings ({changed}); remove it or use another --root"
            )
        return
    if folder.is_dir() and any(path.name != ".cache" for path in folder.iterdir()):
        raise UserError(f"{folder} holds files that were not generated here; remove it or use another --root")
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(path, json.dumps(record, indent=1).encode())


def run_shards(work: Callable[[int], None], shards: Iterable[int], workers: int, title: str) -> None:
    """Calls `work(shard)` for every shard in `workers` processes; `work` must be picklable. Shows a bar when stderr is a terminal."""
    shards = list(shards)
    if min(workers, len(shards)) <= 1:
        for shard in tqdm(shards, title, disable=None):
            work(shard)
        return
    with get_context("spawn").Pool(min(workers, len(shards))) as pool:
        for _ in tqdm(pool.imap_unordered(work, shards), title, total=len(shards), disable=None):
            pass


def write_whole(path: Path, data: bytes) -> None:
    """Writes a file that is either whole or not there."""
    scratch = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    scratch.write_bytes(data)
    os.replace(scratch, path)
