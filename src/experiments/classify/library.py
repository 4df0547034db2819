"""The experiments that `experiment=` can name: files of `configs/experiment/`, and tables there that hold one for each task.

A table is a file with the key `tasks`. Its other keys are shared, each task adds what it changes, and the experiment `<file>-<task>` is
both together, with TASK in any text replaced by the task's name. `like: other` starts from another task of the table; `defaults` of
a task replace the shared ones. A file of that name wins, so that a published file can be dropped in beside a table.
"""

from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml
from hydra.core.config_store import ConfigStore

from ...errors import UserError

_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def names(folder: Path) -> list[str]:
    """Returns the names of all experiments below `folder`, such as lra/s4-PTD-cifar; parts such as _base.yaml are none."""
    found = {name for name, _ in table_experiments(folder)}
    for file in _files(folder):
        if _table(file) is None and not file.name.startswith("_"):
            found.add(_name(file, folder))
    return sorted(found)


def register_tables(folder: Path) -> None:
    """Makes the experiments of the tables below `folder` known to Hydra, whose next composition may name them.

    Raises:
        UserError: a table that is not made as the text above says.
    """
    _register(folder, tuple((file, file.stat().st_mtime_ns) for file in _files(folder)))


@lru_cache(maxsize=1)  # a process that composes a sweep registers once, unless a file has changed
def _register(folder: Path, files: tuple[tuple[Path, int], ...]) -> None:
    store = ConfigStore.instance()
    store.repo.pop("experiment", None)
    for name, body in table_experiments(folder):
        group, _, leaf = f"experiment/{name}".rpartition("/")
        store.store(group=group, name=leaf, package="_global_", node=body)


def table_experiments(folder: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yields (name, body as a file of its own would hold it) of the tables' experiments that have no such file."""
    for file in _files(folder):
        table = _table(file)
        if table is not None:
            shared = {key: value for key, value in table.items() if key != "tasks"}
            for task in table["tasks"]:
                if not file.with_name(f"{file.stem}-{task}.yaml").is_file():
                    body = _merged(shared, _changes(table["tasks"], task, file))
                    yield f"{_name(file, folder)}-{task}", _with_task(body, task)


def _files(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.yaml"))


def _name(file: Path, folder: Path) -> str:
    return file.relative_to(folder).with_suffix("").as_posix()


def _table(file: Path) -> dict[str, Any] | None:
    return _read_table(file, file.stat().st_mtime_ns)


@lru_cache(maxsize=256)
def _read_table(file: Path, changed: int) -> dict[str, Any] | None:
    """The content of a table; None for another file. A file that cannot be read is Hydra's to refuse, when it is asked for."""
    try:
        text = file.read_text(encoding="utf-8")
        content = yaml.load(text, _Loader) if "\ntasks:" in text else None
    except (OSError, UnicodeDecodeError, ValueError, RecursionError, yaml.YAMLError):
        return None
    if not isinstance(content, dict) or "tasks" not in content:
        return None
    tasks = content["tasks"]
    if not isinstance(tasks, dict) or not all(isinstance(changes, dict) for changes in tasks.values()):
        raise UserError(f"{file}: tasks must be a mapping of tasks to what each changes")
    return content


def _changes(tasks: Mapping[str, Any], task: str, file: Path) -> dict[str, Any]:
    changes = dict(tasks[task])
    other = changes.pop("like", None)
    if other is None:
        return changes
    if other not in tasks or "like" in tasks[other]:
        raise UserError(f"{file}: tasks.{task}.like = {other!r} is no task of this table that stands by itself")
    return _merged(tasks[other], changes)


def _merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with `changes` in it, mapping by mapping."""
    merged = dict(base)
    for key, value in changes.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _merged(merged[key], value) if both else value
    return merged


def _with_task(value: Any, task: str) -> Any:
    if isinstance(value, dict):
        return {key: _with_task(item, task) for key, item in value.items()}
    if isinstance(value, list):
        return [_with_task(item, task) for item in value]
    return value.replace("TASK", task) if isinstance(value, str) else value
