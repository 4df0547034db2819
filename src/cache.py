"""Where all that can be rebuilt is kept: compiled loops, solved perturbations, prepared data that cannot lie beside its source."""

import os
from pathlib import Path


def cache_root() -> Path:
    """`$SSM_CACHE`, or else `~/.cache/ssm-experiments`; it need not exist."""
    return Path(os.environ.get("SSM_CACHE") or Path.home() / ".cache" / "ssm-experiments")
