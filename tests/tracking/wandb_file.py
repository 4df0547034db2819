"""Reads the offline file of a W&B run with the reader that comes with the SDK (`wandb beta leet inspect`), which sends nothing."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import wandb

_READER = Path(wandb.__file__).parent / "bin" / "wandb-core"


def read_offline_run(folder: Path) -> dict[str, Any]:
    """Returns id, project, config, rows and exit code of the one offline run below `folder`."""
    [path] = folder.glob("wandb/offline-run-*/run-*.wandb")
    found: dict[str, Any] = {"config": {}, "rows": [], "exit_code": None}
    for record in _records(path):
        content = record.get(record["type"], {})
        if record["type"] == "run":
            found |= {"id": content["run_id"], "project": content["project"], "name": content.get("display_name")}
            found["group"] = content.get("run_group")
            found["config"] |= content.get("config", {}).get("update", {})
        elif record["type"] == "history":
            found["rows"].append(content["item"])
        elif record["type"] == "exit":
            found["exit_code"] = content.get("exit_code", 0)
    return found


def _records(path: Path) -> Iterator[dict[str, Any]]:
    command = [_READER, "leet", "inspect", "-json", "-no-observability", "-run-file", path, path.parents[1]]
    lines = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    yield from map(json.loads, lines.splitlines())
