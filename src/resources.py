"""What comes with the package: its name, its configs and its small data files, in a clone and installed.

In the repository the package is the folder `src` and its resources stand beside it; installed, it is `ssm_experiments` and holds them.
"""

from pathlib import Path

PACKAGE = __name__.partition(".")[0]  # src in the repository, ssm_experiments where it is installed
_HERE = Path(__file__).resolve().parent


def resource(name: str) -> Path:
    """Returns the folder `configs` or `data`."""
    installed = _HERE / name
    return installed if installed.is_dir() else _HERE.parent / name


def import_root() -> Path:
    """Returns the folder that has to be on `sys.path` for `import PACKAGE`."""
    return _HERE.parent


def module(name: str) -> str:
    """Returns the full name of a module of this package, as `work` strings and subprocesses need it."""
    return f"{PACKAGE}.{name}"


def command(module_name: str) -> str:
    """Returns how a user calls one of the package's modules: `python -m src.dataloaders`, say."""
    return f"python -m {module(module_name)}"
