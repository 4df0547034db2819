"""Evidence that fits into a repository: results and learning curves of runs, without states, in two CSV files.

`runs.csv` has a row a run (experiment, state, config and result as JSON), `log.csv` a row an evaluation of each run's log. Unpacked,
they are run folders: reports read them, and a sweep's command skips what is done and trains only what is missing.
"""

import csv
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from ..config import canonical_json
from ..errors import UserError
from ..files import check_file
from ..sweep import RunFolder
from ..sweep import collect as run_folders
from ..sweep.cli import SuggestingParser
from ..sweep.run import run_with_key
from ..tracking.files import atomic_write, to_json
from .collect import Record, experiments, record_of
from .settings import grouped

RUNS, LOG = "runs.csv", "log.csv"
_COLUMNS = ("experiment", "key", "label", "state", "step", "seconds", "config", "result")
_DIGITS = 6


def main_pack(arguments: list[str]) -> int:
    """The command line of `pack`; returns its exit code."""
    parser = SuggestingParser(prog="python -m src.report pack", description=__doc__)
    parser.add_argument("folders", nargs="+", type=Path, help="a sweep's --out, or one experiment's folder below it")
    parser.add_argument("--out", required=True, type=Path, metavar="FOLDER", help="where the two files go")
    args = parser.parse_args(arguments)
    records = [
        record_of(run)
        for folder in args.folders
        for name, path in experiments(folder).items()
        for run in run_folders(path.resolve().parent, name)
    ]
    check_file(args.out / RUNS)
    pack(records, args.out)
    done = sum(record.done for record in records)
    print(f"{args.out}: {len(records)} runs, {done} of them done")
    return 0


def main_unpack(arguments: list[str]) -> int:
    """The command line of `unpack`; returns its exit code."""
    parser = SuggestingParser(prog="python -m src.report unpack", description=__doc__)
    parser.add_argument("source", type=Path, help=f"a folder that holds {RUNS} and {LOG}")
    parser.add_argument("--out", required=True, type=Path, metavar="FOLDER", help="where the run folders go")
    args = parser.parse_args(arguments)
    check_file(args.out / RUNS)
    print(f"{args.out}: {unpack(args.source, args.out)} runs")
    return 0


def pack(records: Iterable[Record], out: Path) -> None:
    """Writes both files, sorted: equal runs give equal files."""
    records = sorted((r for r in records if r.rows or r.done), key=lambda r: (r.experiment, r.folder.run.label, r.key))
    out.mkdir(parents=True, exist_ok=True)
    with (out / RUNS).open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(_COLUMNS)
        for r in records:
            status = r.folder.status()
            state = "done" if r.done else "interrupted"
            facts = [r.experiment, r.key, r.folder.run.label, state, status.step, round(status.seconds)]
            writer.writerow([*facts, canonical_json(r.config), to_json(r.result) if r.done else ""])
    rows = [(record.key, row) for record in records for row in record.rows if "epoch" in row]
    names = list(dict.fromkeys(name for _, row in rows for name in row))
    with (out / LOG).open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["key", *names])
        writer.writerows([key, *[_short(row.get(name, "")) for name in names]] for key, row in rows)


def _short(value: Any) -> Any:
    return float(f"{value:.{_DIGITS}g}") if isinstance(value, float) else value


def unpack(source: Path, out: Path) -> int:
    """Writes the folder of each run that is not there yet; returns how many runs the files hold.

    Raises UserError where the files are missing or are none of `pack`.
    """
    runs, log = _read(source / RUNS, _COLUMNS), _read(source / LOG, ("key",))
    by_key = grouped(log, lambda row: row["key"])
    for row in runs:
        run = run_with_key(row["experiment"], json.loads(row["config"]), row["key"], row["label"])
        if run is None:
            raise UserError(f"{source / RUNS}: the config of {row['key']} was changed")
        _write(RunFolder(out, run), row, by_key.get(run.key, []))
    return len(runs)


def _write(folder: RunFolder, row: dict[str, str], log: list[dict[str, str]]) -> None:
    if (folder.path / "status.json").exists():
        return
    folder.path.mkdir(parents=True, exist_ok=True)
    numbers = [{name: json.loads(x) for name, x in entry.items() if name != "key" and x} for entry in log]
    status = {
        "state": row["state"],
        "step": int(row["step"]) if row["step"] else None,
        "message": "",
        "label": row["label"],
        "seconds": float(row["seconds"]),
        "device": "",
    }
    atomic_write(folder.path / "metrics.jsonl", "".join(to_json(entry) + "\n" for entry in numbers).encode())
    atomic_write(folder.path / "config.yaml", yaml.safe_dump(folder.config, sort_keys=False).encode())
    if row["result"]:
        record = {"experiment": folder.run.experiment, "key": folder.run.key, "label": folder.run.label}
        atomic_write(folder.path / "result.json", to_json(record | {"result": json.loads(row["result"])}).encode())
    atomic_write(folder.path / "status.json", to_json(status).encode())  # last: without it there is no run


def _read(path: Path, needed: Iterable[str]) -> list[dict[str, str]]:
    try:
        with path.open(newline="") as file:
            reader = csv.DictReader(file)
            rows, found = list(reader), reader.fieldnames or []
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); expected what `pack` wrote") from None
    missing = [name for name in needed if name not in found]
    if missing:
        raise UserError(f"{path}: has no column '{missing[0]}'; expected what `pack` wrote")
    return rows
