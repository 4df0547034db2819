"""What a config may hold: text, numbers that a float holds too, finite depth. Other YAML (bytes, numbers as keys) is refused by name."""

from collections.abc import Mapping
from typing import Any

from ..errors import UserError, shown
from .build import LARGEST

DEEPEST = 16  # mappings and lists within each other


def check_plain(value: Any, where: str, key: str = "", depth: int = 0) -> None:
    """Raises UserError, with the key's path, for a value that no config of the suite has a use for."""
    at = f"{where}: {key} = {shown(value)}" if key else where
    if depth > DEEPEST:
        raise UserError(f"{at} is nested more than {DEEPEST} levels deep")
    if isinstance(value, Mapping):
        for name, item in value.items():
            if not isinstance(name, str):
                raise UserError(f"{at}: the key {shown(name)} is not text")
            check_plain(item, where, f"{key}.{name}" if key else name, depth + 1)
    elif isinstance(value, (list, tuple)):
        for item in value:
            check_plain(item, where, key, depth + 1)
    elif isinstance(value, int) and abs(value) > LARGEST:
        raise UserError(f"{at}: a whole number has at most 16 digits")
    elif value is not None and not isinstance(value, (bool, int, float, str)):
        raise UserError(
            f"{at} is a {type(value).__name__}; expected text, a number, true, false, null, a list or a mapping"
        )


def section(value: Any, where: str) -> dict[str, Any]:
    """Returns a copy of the mapping `value`; raises UserError for anything else."""
    if not isinstance(value, Mapping):
        raise UserError(f"{where} = {shown(value)} is not a mapping of keys to values")
    return dict(value)
