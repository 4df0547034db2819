"""One text for one config: equal configs give equal JSON, whatever their key order, and 3 is 3.0."""

import json
from typing import Any


def canonical_json(value: Any) -> str:
    """Returns compact JSON with sorted keys, whole floats as integers, tuples as lists.

    Raises:
        TypeError: for a value that is not made of dicts with text keys, lists, numbers, text, bools and None.
    """
    return json.dumps(_canonical(value), sort_keys=True, separators=(",", ":"))


def _canonical(value: Any) -> Any:
    if isinstance(value, dict):
        if not all(isinstance(key, str) for key in value):
            raise TypeError(f"config keys must be text, got {list(value)}")
        return {key: _canonical(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_canonical(item) for item in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value
