"""A plain mapping into a frozen dataclass: config keys are the constructor's keywords, and every key is checked.

The dataclass is the schema. Its fields are typed with int, float, bool, str, `X | None`, `int | str`, Literal and lists
or tuples of those; ranges are checked by its own `__post_init__`.
"""

import dataclasses
import types
import typing
from collections.abc import Mapping
from typing import Any, Literal, TypeVar, Union

from ..errors import UserError, did_you_mean

Config = TypeVar("Config")


def build(cls: type[Config], mapping: Mapping[str, Any], where: str = "config") -> Config:
    """Returns `cls(**mapping)` with every value checked against its field's type.

    A whole float is accepted for an int and an int for a float; nothing else is converted.

    Args:
        where: the file or flag that the mapping came from; it opens each error line.

    Raises:
        UserError: unknown key (with a suggestion), missing key, or a value of the wrong type.
    """
    hints = typing.get_type_hints(cls)
    fields = {field.name: field for field in dataclasses.fields(cls) if field.init}
    for key in mapping:
        if key not in fields:
            raise UserError(f"{where}: unknown key '{key}'{did_you_mean(key, fields)}")
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
            raise UserError(f"{where}: {key} = {value!r} is not {expected}") from None
    return cls(**values)


class _Mismatch(Exception):
    """The value does not fit the type."""


def _convert(value: Any, hint: Any) -> Any:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (Union, types.UnionType):
        return _convert_to_any(value, arguments)
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
    if hint is int and value != value // 1:  # also true for nan
        raise _Mismatch
    try:
        return hint(value)
    except OverflowError:  # int(inf), or a float of more than 308 digits
        raise _Mismatch from None


def _convert_to_any(value: Any, hints: tuple[Any, ...]) -> Any:
    """The member of the value's own type first (so that 3 stays an int in `float | int`), then the first that fits."""
    for hint in sorted(hints, key=lambda hint: type(value) is not hint):
        try:
            return _convert(value, hint)
        except _Mismatch:
            continue
    raise _Mismatch


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
    if isinstance(value, list) and typing.get_origin(hint) not in (list, tuple):
        return "; a list of values can only be given for a swept key"
    return ""
