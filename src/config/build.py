"""A plain mapping into a frozen dataclass: config keys are the constructor's keywords, and every key is checked.

The dataclass is the schema. Its fields are typed with int, float, bool, str, `X | None`, `int | str`, Literal and lists
or tuples of those. `Annotated[int, Range(1)]` says which numbers make sense; what needs two fields is for `__post_init__`. A
float is finite and an int small enough for a float to hold it exactly, so that no result depends on how a number was written.
"""

import dataclasses
import math
import types
import typing
from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar, Union

from ..errors import UserError, did_you_mean, shown

Config = TypeVar("Config")
LARGEST = 2**53  # of a whole number


@dataclasses.dataclass(frozen=True)
class Range:
    """The numbers from `low` to `high`; `above` shuts `low` itself out."""

    low: float | None = None
    high: float | None = None
    above: bool = False

    def __contains__(self, value: float) -> bool:
        low = self.low is None or (value > self.low if self.above else value >= self.low)
        return low and (self.high is None or value <= self.high)

    def __str__(self) -> str:
        low = "" if self.low is None else f"above {self.low:,}" if self.above else f"of at least {self.low:,}"
        high = "" if self.high is None else f"of at most {self.high:,}"
        return " and ".join(filter(None, [low, high]))


Count = Annotated[int, Range(1)]
Size = Annotated[int, Range(1, 2**20)]  # of something that is held in memory
Positive = Annotated[float, Range(0, above=True)]
NotNegative = Annotated[float, Range(0)]
Seed = Annotated[int, Range(0, 2**32 - 1)]  # as NumPy takes it


def build(cls: type[Config], mapping: Mapping[str, Any], where: str = "config") -> Config:
    """Returns `cls(**mapping)` with every value checked against its field's type.

    A whole float is accepted for an int and an int for a float; nothing else is converted.

    Args:
        where: the file or flag that the mapping came from; it opens each error line.

    Raises:
        UserError: unknown key (with a suggestion), missing key, or a value of the wrong type.
    """
    if not isinstance(mapping, Mapping):
        raise UserError(f"{where} = {shown(mapping)} is not a mapping of keys to values")
    hints = typing.get_type_hints(cls, include_extras=True)
    fields = {field.name: field for field in dataclasses.fields(cls) if field.init}
    for key in mapping:
        if key not in fields:
            name = key if isinstance(key, str) else shown(key)
            raise UserError(f"{where}: unknown key '{name}'{did_you_mean(name, fields)}")
    for name, field in fields.items():
        required = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        if required and name not in mapping:
            raise UserError(f"{where}: missing key '{name}' (expected {_describe(hints[name])})")
    values = {}
    for key, value in mapping.items():
        try:
            values[key] = _convert(value, hints[key])
        except _Mismatch:
            expected = _describe(hints[key]) + _hint(value, hints[key])
            raise UserError(f"{where}: {key} = {shown(value)} is not {expected}") from None
    return cls(**values)


class _Mismatch(Exception):
    """The value does not fit the type."""


def _convert(value: Any, hint: Any) -> Any:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (Union, types.UnionType):
        return _convert_to_any(value, arguments)
    if origin is Annotated:
        return _convert_in_range(value, *arguments)
    if origin is Literal:
        return _convert_to_literal(value, arguments)
    if origin in (list, tuple):
        return _convert_sequence(value, origin, arguments)
    if hint in (int, float):
        return _convert_number(value, hint)
    if hint in (bool, str, type(None)):
        if type(value) is not hint:
            raise _Mismatch
        return value
    raise TypeError(f"build does not know the type {hint}")


def _convert_number(value: Any, hint: type) -> int | float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise _Mismatch
    if isinstance(value, float) and not math.isfinite(value):
        raise _Mismatch
    if (hint is int or isinstance(value, int)) and (value % 1 or abs(value) > LARGEST):
        raise _Mismatch
    return hint(value)


def _convert_in_range(value: Any, hint: Any, *ranges: Range) -> Any:
    number = _convert(value, hint)
    if not all(number in allowed for allowed in ranges):
        raise _Mismatch
    return number


def _convert_to_any(value: Any, hints: tuple[Any, ...]) -> Any:
    """The member of the value's own type first (so that 3 stays an int in `float | int`), then the first that fits."""
    for hint in sorted(hints, key=lambda hint: type(value) is not _without_range(hint)):
        try:
            return _convert(value, hint)
        except _Mismatch:
            continue
    raise _Mismatch


def _without_range(hint: Any) -> Any:
    return typing.get_args(hint)[0] if typing.get_origin(hint) is Annotated else hint


def _convert_to_literal(value: Any, options: tuple[Any, ...]) -> Any:
    if not any(value == option and type(value) is type(option) for option in options):  # True == 1 does not count
        raise _Mismatch
    return value


def _convert_sequence(value: Any, origin: type, arguments: tuple[Any, ...]) -> Any:
    if not isinstance(value, (list, tuple)):
        raise _Mismatch
    if origin is list or arguments[-1] is Ellipsis:
        return origin(_convert(item, arguments[0]) for item in value)
    if len(value) != len(arguments):
        raise _Mismatch
    return tuple(_convert(item, hint) for item, hint in zip(value, arguments, strict=True))


_NAMES = {int: "a whole number", float: "a number", bool: "true or false", str: "text", type(None): "null"}


def _describe(hint: Any) -> str:
    """A type in a user's words."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (Union, types.UnionType):
        return " or ".join(_describe(argument) for argument in arguments)
    if origin is Annotated:
        return f"{_describe(arguments[0])} {' and '.join(map(str, arguments[1:]))}"
    if origin is Literal:
        return "one of: " + ", ".join(str(option) for option in arguments)
    if origin in (list, tuple):
        return f"a list ({', '.join('...' if argument is Ellipsis else _describe(argument) for argument in arguments)})"
    return _NAMES.get(hint, str(hint))


def _hint(value: Any, hint: Any) -> str:
    """What would have been right, where it can be guessed."""
    if isinstance(value, str) and typing.get_origin(hint) is Literal:
        options = [option for option in typing.get_args(hint) if isinstance(option, str)]
        suggestion = did_you_mean(value, options)
        return suggestion if "did you mean" in suggestion else ""
    if isinstance(value, float) and not math.isfinite(value):
        return "; it must be finite"
    if isinstance(value, list) and typing.get_origin(hint) not in (list, tuple):
        return "; a list of values can only be given for a swept key"
    return ""
