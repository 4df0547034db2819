"""`key=value` words of the command line: one grammar, Hydra's, for every script.

key=1e-3        one value         key=[1,2]   a list        key='a b'   text with spaces or signs
key=1,2         several values: one run for each
group=name, ~key, +key=value      for scripts whose config is composed from groups of files
"""

import itertools
import re
from collections.abc import Iterable
from typing import Any

from ..errors import UserError
from .grid import MOST_RUNS
from .plain import check_plain
from .yaml import check_no_resolver

_FREE = re.compile(r"[\w./:+-]+")


def parse_word(word: str) -> Any:
    """Returns a word as Hydra's `Override`.

    Raises:
        UserError: it is not written so.
    """
    from hydra.core.override_parser.overrides_parser import OverridesParser  # takes a third of a second
    from hydra.errors import HydraException

    try:
        return OverridesParser.create().parse_override(word)
    except HydraException as error:
        first_line = (str(error).strip().splitlines() or [""])[0]
        raise UserError(f"'{word}': {first_line}; expected key=value, such as lr=0.01 or N=[32,64]") from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"'{word[:60]} ...': the value cannot be read ({str(error).splitlines()[0]})") from None


def swept_values(word: str, override: Any) -> list[Any]:
    """Returns the values of a word that has several: `a,b`, `choice(a,b)`, `range(1,4)`.

    Raises:
        UserError: it has none, too many, or they are not in the word in their order (Hydra's `interval`, `glob`, `shuffle`).
    """
    from hydra.errors import HydraException

    where = f"'{word[:60]}'"
    if getattr(override.value(), "shuffle", False):  # the same command would be another sweep
        raise UserError(f"{where}: shuffled values have no order; expected such as a,b or choice(a,b) or range(1,4)")
    try:
        values = list(itertools.islice(override.sweep_iterator(), MOST_RUNS + 1))
    except (HydraException, ValueError, ArithmeticError) as error:
        raise UserError(f"{where}: {str(error).splitlines()[0]}; expected values such as a,b or range(1,4)") from None
    if not 0 < len(values) <= MOST_RUNS:
        raise UserError(f"{where}: {'too many values' if values else 'no value'}; expected 1 to {MOST_RUNS:,}")
    return values


def key_of(word: str) -> str:
    """Returns the key or group of a word, as it is written."""
    return word.lstrip("+~").partition("=")[0].strip()


def quoted(value: Any) -> str:
    """Returns a value as the right side of a word that gives it back."""
    if isinstance(value, (list, tuple)):
        return f"[{','.join(map(quoted, value))}]"
    if value is None or isinstance(value, bool):
        return "null" if value is None else str(value).lower()
    text = str(value)
    return text if _FREE.fullmatch(text) else "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def parse_assignments(words: Iterable[str]) -> dict[str, Any]:
    """Returns {key: value} for words such as `lr=1e-4`, `N=[32,64]`, `N=32,64` (the same list), `L=N`, `task_name=copy`.

    Raises:
        UserError: a word is not `key=value` with a value, or a key is given twice.
    """
    values: dict[str, Any] = {}
    for word in words:
        override = parse_word(word)
        key = override.key_or_group
        if override.is_add() or override.is_force_add() or override.is_delete() or override.package is not None:
            raise UserError(f"'{word}': the config of this script has no groups; expected key=value")
        value = swept_values(word, override) if override.is_sweep_override() else override.value()
        if value == "" or not key:
            raise UserError(f"'{word}': expected key=value, such as lr=1e-4 or N=[32,64] (null for no value)")
        check_no_resolver(word, f"'{word}'")
        check_plain(value, f"'{word}'", key)
        if key in values:
            raise UserError(f"'{word}': {key} is given twice")
        values[key] = value
    return values
