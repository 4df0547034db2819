"""YAML in. OmegaConf's loader reads `1e-4` as a number (plain YAML 1.1 reads it as text) and refuses a key that is given twice."""

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from omegaconf import OmegaConf
from omegaconf.basecontainer import BaseContainer
from omegaconf.errors import OmegaConfBaseException

from ..errors import UserError
from .plain import check_plain

LARGEST_FILE = 100_000  # values
_RESOLVER = re.compile(r"\$\{\s*([\w.]+)\s*:")


def load_yaml(path: str | Path, resolve: bool = True) -> dict[str, Any]:
    """Returns the mapping in the file `path`, interpolations resolved unless another file must be there for that.

    Raises:
        UserError: the file is missing, is not YAML (with the line), or holds something else than a mapping.
    """
    if Path(path).exists() and not Path(path).is_file():  # a pipe would be waited for, a device read for ever
        raise UserError(f"{path}: is a folder, a pipe or a device; expected a YAML file")
    try:
        text = Path(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read ({error})") from None
    return _parse_mapping(text, str(path), resolve)


def check_no_resolver(text: str, where: str) -> None:
    """Raises UserError for an interpolation that computes or reads: `${oc.env:NAME}` would copy a secret into config and log."""
    found = _RESOLVER.search(text)
    if found:
        raise UserError(
            f"{where}: the resolver '{found[1]}' is not taken; only keys can stand in ${{...}}, such as ${{model.d_model}}"
        )


@contextlib.contextmanager
def without_resolvers() -> Iterator[None]:
    """While entered OmegaConf knows no resolver, however one is spelt: by YAML escapes, in the name of another, in a list of defaults."""
    known = BaseContainer._resolvers  # of the class; OmegaConf's own functions can remove them, but not give them back
    BaseContainer._resolvers = {}
    try:
        yield
    finally:
        BaseContainer._resolvers = known


def _parse_mapping(text: str, where: str, resolve: bool = True) -> dict[str, Any]:
    check_no_resolver(text, where)
    try:
        content = yaml.safe_load(text)
        if not isinstance(content or {}, dict):  # OmegaConf would read a lone word as a key
            raise UserError(f"{where}: expected a mapping of 'key: value' lines")
        if _is_larger(content, LARGEST_FILE):
            raise UserError(f"{where}: holds more than {LARGEST_FILE:,} values, counting repeated ones, or itself")
        with without_resolvers():
            parsed = OmegaConf.to_container(OmegaConf.create(text), resolve=resolve)
    except yaml.MarkedYAMLError as error:
        line = f" line {error.problem_mark.line + 1}:" if error.problem_mark else ""
        raise UserError(f"{where}:{line} not valid YAML ({error.problem})") from None
    except RecursionError:
        raise UserError(f"{where}: is nested too deeply, or holds itself") from None
    except (yaml.YAMLError, OmegaConfBaseException, ValueError, OverflowError) as error:  # also a date that is none
        raise UserError(f"{where}: {str(error).splitlines()[0]}") from None
    check_plain(parsed, where)
    return parsed


def _is_larger(content: Any, limit: int) -> bool:
    """Whether there are more values than `limit`, each counted as often as aliases repeat it."""
    waiting, n = [content], 0
    while waiting and n <= limit:
        value = waiting.pop()
        n += 1
        if isinstance(value, dict):
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)
    return n > limit
