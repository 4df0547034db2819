"""Run folders -> records: what a report knows about each run.

A folder to report on is one experiment (`runs/theory-real`, with run folders below it) or holds several (`runs`).
"""

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import UserError
from ..sweep import RunFolder
from ..sweep import collect as run_folders
from ..sweep.run import NUMERICS


@dataclass(frozen=True, eq=False)
class Record:
    """One run: the experiment it belongs to, its state, resolved config and (only when done) its result."""

    experiment: str
    state: str
    message: str
    config: dict[str, Any]
    result: dict[str, Any]
    folder: RunFolder

    @property
    def done(self) -> bool:
        return self.state == "done"

    @property
    def key(self) -> str:
        return self.folder.run.key

    @cached_property
    def arrays(self) -> dict[str, np.ndarray]:
        """The arrays that the run saved, empty when it saved none."""
        return self.folder.load_arrays() or {}

    @cached_property
    def rows(self) -> list[dict[str, Any]]:
        """The rows of the log, none without one."""
        return self.folder.metrics() if (self.folder.path / "metrics.jsonl").exists() else []

    def curve(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Returns (step, value) of the rows of the log that hold `name`, each (rows,); empty without a log."""
        rows = [row for row in self.rows if name in row]
        return np.array([row["step"] for row in rows]), np.array([row[name] for row in rows], dtype=np.float64)


def experiments(folder: Path) -> dict[str, Path]:
    """Returns {experiment: folder of its runs} for an experiment's own folder or one that holds several.

    Raises UserError where there is no run.
    """
    if not folder.is_dir():
        raise UserError(
            f"{folder}: no such folder; give the folder that a sweep wrote (its --out, or an experiment below it)"
        )
    if _has_runs(folder):
        return {folder.resolve().name: folder}
    found = {child.name: child for child in sorted(folder.iterdir()) if child.is_dir() and _has_runs(child)}
    if not found:
        hint = (
            "it is one run, give the folder above it" if (folder / "status.json").exists() else "give a sweep's --out"
        )
        raise UserError(f"{folder}: holds no runs; {hint}")
    return found


def _has_runs(folder: Path) -> bool:
    return any((path.parent / "status.json").exists() for path in folder.glob("*/config.yaml"))


def collect(folders: Iterable[Path], prefix: str) -> list[Record]:
    """Returns the records of all experiments named `prefix...` in `folders`. Raises UserError where there is none."""
    folders = list(folders)
    records = []
    for folder in folders:
        for name, path in experiments(folder).items():
            if name.startswith(prefix):
                records += [record_of(run) for run in run_folders(path.resolve().parent, name)]
    if not records:
        raise UserError(f"{', '.join(map(str, folders))}: holds no runs of an experiment named {prefix}*")
    return _newest(records)


def _newest(records: list[Record]) -> list[Record]:
    """The records without runs of older numerics that were done again with newer ones."""
    if len({record.folder.run.numerics for record in records}) == 1:
        return records
    done: dict[str, int] = {}
    for record in records:
        if record.done:
            done[_asked(record)] = max(done.get(_asked(record), 0), record.folder.run.numerics)
    return [record for record in records if record.folder.run.numerics >= done.get(_asked(record), 0)]


def _asked(record: Record) -> str:
    """What was asked for, whatever the version of the numerics."""
    return replace(record.folder.run, numerics=1).key


def record_of(folder: RunFolder) -> Record:
    """Returns what is known of a run."""
    status = folder.status()
    result = folder.result() if status.state == "done" else None
    return Record(folder.run.experiment, status.state, status.message, folder.config, result or {}, folder)


@contextmanager
def gathered(folders: Sequence[Path] | Path, prefix: str) -> Iterator[tuple[list[Record], Path]]:
    """Gives (records of `prefix...`, folder to write to): `report/` below the folder, or below what several have in common.

    Raises UserError where there is no such run, or when the disk refuses what is written inside.
    """
    folders = [Path(folders)] if isinstance(folders, (str, Path)) else [Path(folder) for folder in folders]
    records = collect(folders, prefix)
    out = Path(os.path.commonpath([folder.resolve() for folder in folders])) / "report"
    try:
        out.mkdir(parents=True, exist_ok=True)
        yield records, out
    except OSError as error:
        raise UserError(
            f"{out}: the report cannot be written ({error.strerror}); free space or choose another folder"
        ) from None


def progress(records: list[Record], expected: int | None = None) -> str:
    """Returns "36 of 36 runs done", or what is missing: "30 of 36 runs done, 2 failed, 4 not started".

    Args:
        expected: how many runs were asked for, where the caller knows it; runs without a folder count as not started.
    """
    states = Counter(record.state for record in records)
    missing = max((expected or 0) - len(records), 0)
    parts = [f"{states.pop('done', 0)} of {len(records) + missing} runs done"]
    parts += [f"{count} {state}" for state, count in sorted(states.items())]
    return ", ".join(parts + ([f"{missing} not started"] if missing else []))


def failures(records: list[Record], limit: int = 5) -> list[str]:
    """Returns a line for each of the first failed runs, and one that counts the rest."""
    failed = [record for record in records if record.state == "failed"]
    lines = [f"failed: {record.folder.run.name}: {record.message}"[:100] for record in failed[:limit]]
    return lines + ([f"and {len(failed) - limit} more failed runs"] if len(failed) > limit else [])


def notices(records: list[Record], limit: int = 5) -> list[str]:
    """Returns what a reader must know beside the figures: the runs' own warnings, and how many runs are of older numerics."""
    warned = [(record, text) for record in records for text in record.result.get("warnings", ())]
    lines = [f"warning: {record.folder.run.name}: {text}" for record, text in warned[:limit]]
    lines += [f"and {len(warned) - limit} more warnings"] if len(warned) > limit else []
    old = sum(record.folder.run.numerics < NUMERICS for record in records)
    if old:
        lines.append(
            f"{old} of {len(records)} runs are of older numerics (now {NUMERICS}): the same config may give other figures today"
        )
    return lines
