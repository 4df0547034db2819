"""What a run leaves, without what may differ between two equal runs (times, places, names), and how two of them differ."""

import hashlib
import json
from pathlib import Path
from typing import Any

import torch

_TIMES = ("second", "time", "samples_per", "steps_per", "memory")
_PLACES = ("device", "environment", "backends", "data", "label", "processes")


def read_run(folder: Path) -> dict[str, Any]:
    """Returns a run's rows, its numbers and the hashes of its state's tensors.

    Tensors are told apart by content alone, so that a parameter's new name is no difference.
    """
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    result = json.loads((folder / "result.json").read_text())["result"]
    state = torch.load(folder / "state.pt", map_location="cpu", weights_only=True)
    return {
        "rows": [_numbers(row) for row in rows],
        "result": _numbers(result),
        "tensors": sorted(_hash(tensor) for tensor in _tensors(state)),
    }


def read_runs(out: Path) -> list[dict[str, Any]]:
    """Returns all finished runs below `out`, in an order that does not depend on their keys."""
    runs = [read_run(path.parent) for path in out.rglob("result.json")]
    return sorted(runs, key=lambda run: json.dumps(run["rows"], sort_keys=True))


def differences(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """Returns a line for each thing of `before` that `after` lacks or has otherwise; what `after` has more is no difference."""
    lines = []
    for i, row in enumerate(before["rows"]):
        later = after["rows"][i] if i < len(after["rows"]) else {}
        lines += [f"row {i}: {line}" for line in _changed(row, later)]
    lines += [f"result: {line}" for line in _changed(before["result"], after["result"])]
    lost = _lost(before["tensors"], after["tensors"])
    if lost:
        lines.append(f"state: {lost} of {len(before['tensors'])} tensors are other ones")
    return lines


def _changed(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    return [f"{key} {value!r} -> {after.get(key)!r}" for key, value in before.items() if after.get(key) != value]


def _lost(before: list[str], after: list[str]) -> int:
    rest = list(after)
    lost = 0
    for tensor in before:
        if tensor in rest:
            rest.remove(tensor)
        else:
            lost += 1
    return lost


def _numbers(values: Any, prefix: str = "") -> dict[str, Any]:
    """The numbers of nested dicts and lists by dotted name."""
    pairs = values.items() if isinstance(values, dict) else enumerate(values)
    flat: dict[str, Any] = {}
    for key, value in pairs:
        name = f"{prefix}{key}"
        if any(word in str(key) for word in (*_TIMES, *_PLACES)):
            continue
        if isinstance(value, (dict, list)):
            flat |= _numbers(value, f"{name}.")
        elif isinstance(value, (int, float)):
            flat[name] = value
    return flat


def _tensors(state: Any) -> list[torch.Tensor]:
    if isinstance(state, torch.Tensor):
        return [state]
    if isinstance(state, dict):
        # a generator's state and the counters of an epoch's means are bookkeeping of the loop
        return [
            tensor for key, value in state.items() if key not in ("rng", "generators") for tensor in _tensors(value)
        ]
    if isinstance(state, (list, tuple)):
        return [tensor for value in state for tensor in _tensors(value)]
    return []


def _hash(tensor: torch.Tensor) -> str:
    array = tensor.detach().numpy()
    return hashlib.sha256(f"{array.dtype}{array.shape}".encode() + array.tobytes()).hexdigest()[:16]
