"""A class of the user's in a config: `_target_: my_module.MyLayer`, where every other key is a keyword of its constructor.

To name a module in a config is to run it. So this file has two halves: `source` finds a module's file and runs nothing, `load` and `make`
import it. A config is planned, shown and hashed by the first half alone; a run that starts needs the second. Modules are looked for where
Python looks, and in the current directory.
"""

import importlib
import inspect
import os
import re
import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import UserError, did_you_mean, shown

TARGET = "_target_"
_PATH = re.compile(r"(?:[^\W\d]\w*\.)+[^\W\d]\w*")


@dataclass(frozen=True)
class OwnCode:
    """A class by its dotted path, and the keywords that a config gives to its constructor.

    Attributes:
        where: the section of the config, which opens each error line.
        target: module and class, `package.module.Class`.
        keywords: the other keys of the section.
    """

    where: str
    target: str
    keywords: Mapping[str, Any]

    @classmethod
    def of(cls, section: Mapping[str, Any], where: str) -> "OwnCode":
        """Returns what a section with `_target_` names; nothing is looked for yet.

        Raises:
            UserError: no dotted path, or a key that is no name.
        """
        target = section[TARGET]
        if not isinstance(target, str) or not _PATH.fullmatch(target):
            raise UserError(f"{where}.{TARGET} = {shown(target)}: expected module.Class, such as my_module.MyLayer")
        keywords = {key: value for key, value in section.items() if key != TARGET}
        for key in keywords:
            if not (isinstance(key, str) and key.isidentifier()):
                raise UserError(f"{where}: {shown(key)} cannot be a keyword of {target}")
        return cls(where, target, keywords)

    @property
    def module(self) -> str:
        return self.target.rpartition(".")[0]

    @property
    def name(self) -> str:
        return self.target.rpartition(".")[2]

    def source(self) -> Path | None:
        """Returns the module's file without running it, None for one that has no file.

        Raises:
            UserError: there is no such module.
        """
        _look_in_current_directory()
        parts, folders, found = self.module.split("."), None, None
        for i in range(len(parts)):
            name = ".".join(parts[: i + 1])
            found = _spec(name, folders) if i == 0 or folders is not None else None
            if found is None:
                near = did_you_mean(name, [path.stem for path in Path().glob("*.py")])
                near = near if "did you mean" in near else ""
                raise UserError(f"{self.where}.{TARGET}: no module '{name}' here or on Python's path{near}")
            folders = found.submodule_search_locations
        return Path(found.origin) if found.has_location else None

    def load(self) -> Callable[..., Any]:
        """Imports the module and returns the class.

        Raises:
            UserError: the module is not there, cannot be imported, or has no such class.
        """
        self.source()
        try:
            module = importlib.import_module(self.module)
        except Exception as error:
            raise UserError(f"{self.where}.{TARGET}: {self.module} cannot be imported: {raised(error)}") from error
        found = getattr(module, self.name, None)
        if not callable(found):
            known = [name for name, value in vars(module).items() if inspect.isclass(value)]
            raise UserError(
                f"{self.where}.{TARGET}: {self.module} has no '{self.name}'{did_you_mean(self.name, known)}"
            )
        return found

    def make(self, **given: Any) -> Any:
        """Returns an instance, made with `given` and the config's keywords.

        Raises:
            UserError: as `load`; an unknown or a missing keyword; or whatever the constructor raises, in one line.
        """
        cls = self.load()
        self._check_keywords(cls, given)
        try:
            return cls(**given, **self.keywords)
        except UserError:
            raise
        except Exception as error:
            raise UserError(f"{self.where}: {self.target} cannot be built: {raised(error)}") from error

    def _check_keywords(self, cls: Callable[..., Any], given: Mapping[str, Any]) -> None:
        parameters = inspect.signature(cls).parameters.values()
        named = [p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
        takes_all = any(p.kind is p.VAR_KEYWORD for p in parameters)
        for key in self.keywords:
            if key in given:
                raise UserError(f"{self.where}.{key}: {self.target} is given its {key} by the suite")
        for key in (*given, *self.keywords):
            if key not in named and not takes_all:
                raise UserError(f"{self.where}: {self.target} takes no keyword '{key}'{did_you_mean(key, named)}")
        for p in parameters:
            if p.name in named and p.default is p.empty and p.name not in {*given, *self.keywords}:
                raise UserError(f"{self.where}: {self.target} needs a value: {self.where}.{p.name}=...")


def raised(error: Exception) -> str:
    """Returns what a user's code raised and where, in one line."""
    text = (str(error).strip().splitlines() or [""])[0]
    frames = traceback.extract_tb(error.__traceback__)
    place = f" ({Path(frames[-1].filename).name} line {frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {text}{place}" if text else f"{type(error).__name__}{place}"


def _spec(name: str, folders: Any) -> Any:
    """What the import system finds, without importing a parent as `importlib.util.find_spec` does."""
    for finder in sys.meta_path:
        spec = finder.find_spec(name, folders)
        if spec is not None:
            return spec
    return None


def _look_in_current_directory() -> None:
    """`python -m` looks there, an installed command does not; last, so that nothing there hides a package. Workers inherit the path."""
    here = os.getcwd()
    if "" not in sys.path and here not in sys.path:
        sys.path.append(here)
