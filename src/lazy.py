"""What is loaded when it is first asked for, so that a door answers `--help` and a typo without what trains.

Packages hand on the names of their modules this way (PEP 562, as SPEC 1 of Scientific Python lays down); doors name their work and reports.
"""

import importlib
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from .resources import module


def attach(package: str, places: Mapping[str, Sequence[str]]) -> tuple[Callable[[str], Any], list[str]]:
    """Returns `__getattr__` and `__all__` of a package.

    Args:
        places: module of the package: the names that the package hands on from it. None may be a module's name.
    """
    owners = {name: owner for owner, names in places.items() for name in names}

    def load(name: str) -> Any:
        if name not in owners:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(f"{package}.{owners[name]}"), name)
        setattr(sys.modules[package], name, value)  # found without this function from now on
        return value

    return load, sorted(owners)


def later(name: str) -> Callable[..., Any]:
    """Returns what calls the function `module:function` of this package, and imports its module only then."""
    owner, _, function = name.partition(":")

    def call(*args: Any, **options: Any) -> Any:
        return getattr(importlib.import_module(module(owner)), function)(*args, **options)

    return call
