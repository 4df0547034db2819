"""What the page shows: every run below a folder as plain data. What has not changed since the last time is not read again."""

import base64
import math
import os
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...config import flat
from ...errors import UserError
from ...sweep import RunFolder
from ...sweep.folder import read_config
from ...sweep.lock import is_locked
from ...sweep.run import NUMERICS, run_with_key
from ...tracking import read_jsonl
from ...tracking.files import from_json
from .progress import share_done

STATES = ("running", "done", "interrupted", "failed", "new")
_WATCHED = ("status.json", "result.json", "metrics.jsonl")
_METRICS, _POINTS, _ALL_POINTS = 8, 200, 300_000  # curves a run, points a curve, points of the whole page
_NO_METRICS = {"step", "epoch", "samples_per_second", "epoch_seconds", "lr", "seconds"}
_PICTURES = 6_000_000  # bytes of pictures that are put into the page; the rest is linked

Plain = dict[str, Any]


@dataclass
class Gatherer:
    """Reads the runs below `out`; keep it to read only what changed."""

    out: Path
    _known: dict[Path, tuple[tuple, Plain]] = field(default_factory=dict)
    _configs: dict[Path, dict[str, Any]] = field(default_factory=dict)

    def stamps(self) -> dict[Path, tuple]:
        """Returns what changes when a run does, by the run's folder: its files' times and sizes, and its state."""
        return {path: stamp for path in self._folders() if (stamp := _stamp(path)) is not None}

    def runs(self, stamps: dict[Path, tuple]) -> list[Plain]:
        """Returns all runs, newest first."""
        points = max(20, min(_POINTS, _ALL_POINTS // max(1, len(stamps) * _METRICS)))
        for path, stamp in stamps.items():
            if self._known.get(path, (None,))[0] != stamp:
                self._known[path] = (stamp, self._run(path, stamp[0], points))
        found = [self._known[path][1] for path in stamps if self._known[path][1]]
        return sorted(found, key=lambda run: -run["updated"])

    def _folders(self) -> Iterator[Path]:
        for experiment in sorted(self.out.iterdir()):
            if experiment.is_dir():
                with os.scandir(experiment) as entries:
                    yield from sorted(Path(e.path) for e in entries if e.is_dir() and len(e.name) == 12)

    def _run(self, path: Path, state: str, points: int) -> Plain:
        """One run; empty where its folder is none, or damaged."""
        try:
            if path not in self._configs:
                self._configs[path] = read_config(path / "config.yaml")
            config, experiment = self._configs[path], path.parent.name
            run = run_with_key(experiment, config, path.name)
            if run is None:
                return {}
            folder = RunFolder(self.out, run)
            status = folder.status()
            rows = read_jsonl(path / "metrics.jsonl") if (path / "metrics.jsonl").exists() else []
        except (UserError, OSError, ValueError):
            return {}
        step = max(status.step or 0, rows[-1]["step"] if rows else 0)
        result = folder.result() or {}
        share = 1.0 if status.state == "done" else share_done(experiment, config, step, rows)
        left = status.seconds * (1 - share) / share if share and state == "running" and status.seconds else None
        return {
            "key": path.name,
            "experiment": experiment,
            "label": _label(path) or path.name,
            "state": status.state,
            "message": status.message
            or ("" if run.numerics == NUMERICS else f"numerics {run.numerics}, now {NUMERICS}"),
            "step": step,
            "share": share,
            "seconds": round(status.seconds, 1),
            "left": left and round(left),
            "device": status.device,
            "config": {key: _short(value) for key, value in flat(config).items()},
            "metrics": _metrics(result, rows),
            "curves": _curves(rows, points),
            "command": _command(path),
            "updated": max(_mtime(path / name) for name in _WATCHED),
        }


def experiments(runs: list[Plain], pictures: dict[str, list[Plain]]) -> list[Plain]:
    """Returns one entry an experiment: states, progress, the command that repeats or continues it, pictures."""
    found = []
    for name in sorted({run["experiment"] for run in runs}):
        own = [run for run in runs if run["experiment"] == name]
        states = {state: sum(run["state"] == state for run in own) for state in STATES}
        shares = [run["share"] or 0.0 for run in own]
        found.append(
            {
                "name": name,
                "runs": len(own),
                "states": {state: count for state, count in states.items() if count},
                "share": sum(shares) / len(shares),
                "commands": list(dict.fromkeys(run["command"] for run in own if run["command"]))[:3],
                "pictures": pictures.get(name, []),
            }
        )
    return found


def shared_config(runs: list[Plain]) -> dict[str, dict[str, Any]]:
    """Takes from each run's config what all runs of its experiment share, and returns that by experiment."""
    shared: dict[str, dict[str, Any]] = {}
    for name in {run["experiment"] for run in runs}:
        configs = [run["config"] for run in runs if run["experiment"] == name]
        shared[name] = {k: v for k, v in configs[0].items() if all(c.get(k, configs) == v for c in configs[1:])}
    return shared


def pictures(out: Path) -> dict[str, list[Plain]]:
    """Returns the pictures of the reports by experiment ("" for those of several), inside the page while they are small enough."""
    found: dict[str, list[Plain]] = {}
    budget = _PICTURES
    for path in sorted([*out.glob("report/*"), *out.glob("*/report/*")]):
        if path.suffix not in (".png", ".svg"):
            continue
        experiment = path.parent.parent.name if path.parent.parent != out else ""
        budget -= path.stat().st_size
        link = _data_uri(path) if budget > 0 else None
        found.setdefault(experiment, []).append(
            {"name": path.stem, "uri": link, "path": path.relative_to(out).as_posix()}
        )
    return found


def _data_uri(path: Path) -> str:
    kind = "svg+xml" if path.suffix == ".svg" else "png"
    return f"data:image/{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"


def _stamp(path: Path) -> tuple | None:
    """(state, times and sizes of the files); None where there is no run. A run counts as running while a process holds its lock."""
    try:
        state = from_json((path / "status.json").read_bytes())["state"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if state == "running" and not is_locked(path):
        state = "interrupted"
    return (state, *((_mtime(path / name), _size(path / name)) for name in _WATCHED))


def _mtime(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _label(path: Path) -> str:
    return from_json((path / "status.json").read_bytes()).get("label", "")


def _command(path: Path) -> str:
    """The command line that made the run and that continues it."""
    try:
        words = from_json((path / "environment.json").read_bytes())["command"]
    except (OSError, ValueError, KeyError, TypeError):
        return ""
    return f"python {shlex.join([Path(words[0]).name, *words[1:]])}" if words else ""


def _metrics(result: Plain, rows: list[Plain]) -> dict[str, float]:
    """The numbers of the result, or of the last rows of the log while there is none."""
    merged = result or {name: value for row in rows[-3:] for name, value in row.items()}
    return {k: v for k, value in merged.items() if k != "step" and (v := _number(value)) is not None}


def _curves(rows: list[Plain], points: int) -> dict[str, list[list[float]]]:
    """Each metric as [steps, values] of finite numbers, thinned to so many points; what validation says comes first."""
    names = [name for name in dict.fromkeys(name for row in rows for name in row) if name not in _NO_METRICS]
    names.sort(
        key=lambda name: (not name.startswith("val/"), not name.startswith("test"), not name.startswith("train"))
    )
    curves = {}
    for name in names[:_METRICS]:
        pairs = [(row["step"], v) for row in rows if (v := _number(row.get(name))) is not None]
        every = -(-len(pairs) // points) or 1
        kept = pairs[::every] + ([pairs[-1]] if pairs and (len(pairs) - 1) % every else [])
        if kept:
            curves[name] = [[step for step, _ in kept], [float(f"{value:.5g}") for _, value in kept]]
    return curves


def _number(value: Any) -> float | None:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return value if is_number and math.isfinite(value) else None


def _short(value: Any) -> Any:
    return value if isinstance(value, (int, float, bool)) or value is None else str(value)[:200]
