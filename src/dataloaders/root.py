"""Where data live: `./data`, or the environment variable DATA_PATH, or a set's own `data_dir`."""

import os
from pathlib import Path

from ..resources import resource

EMBEDDED = resource("data")  # the small files that ship with the project


def data_root() -> Path:
    """The folder that holds one folder a data set."""
    return Path(os.environ.get("DATA_PATH") or "data")
