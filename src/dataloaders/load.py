"""`load(name, **options)`: from the name in a config to the splits."""

from types import ModuleType
from typing import Any

from ..config import build
from ..errors import UserError, did_you_mean
from . import aan, cifar, digits, fashion_mnist, imdb, listops, mnist, pathfinder, sc
from .base import Splits

# name in a config: the module, and options that the name implies
DATASETS: dict[str, tuple[ModuleType, dict[str, Any]]] = {
    "cifar": (cifar, {}),
    "imdb": (imdb, {}),
    "listops": (listops, {}),
    "aan": (aan, {}),
    "pathfinder": (pathfinder, {}),
    "pathx": (pathfinder, {"resolution": 128}),
    "mnist": (mnist, {}),
    "fashion_mnist": (fashion_mnist, {}),
    "sc": (sc, {}),
    "digits": (digits, {}),
}


def load(name: str, **options: Any) -> Splits:
    """Returns the data set `name`, its options checked before any file is read.

    Raises:
        UserError: unknown name or option (with a suggestion), an option of the wrong type, or data that are missing or broken.
    """
    return find_dataset(name).load(check_options(name, **options))


def check(name: str, **options: Any) -> str:
    """Returns what was found of the data set `name`. Raises UserError if it is not as published, or as asked for."""
    return find_dataset(name).check(check_options(name, **options))


def check_options(name: str, **options: Any) -> Any:
    """Returns the `Options` of a data set without reading a file; raises UserError as `load` does."""
    module = find_dataset(name)
    return build(module.Options, {**DATASETS[name][1], **options}, f"dataset {name}")


def find_dataset(name: str) -> ModuleType:
    """Returns the module of a data set. Raises UserError for an unknown name."""
    if name not in DATASETS:
        raise UserError(f"unknown data set '{name}'{did_you_mean(name, DATASETS)}")
    return DATASETS[name][0]
