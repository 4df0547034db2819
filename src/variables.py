"""The environment variables that this suite heeds, read and checked in one place."""

import os
import re
from collections.abc import Mapping

from .errors import UserError, did_you_mean

BACKEND = "SSM_BACKEND"
BACKENDS = ("reference", "torch", "compiled", "triton")
_OF_TORCHRUN = ("RANK", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")
# OpenMP: a number of threads for each level of nesting, such as 4 or 4,2
_THREADS = re.compile(r"\s*\+?0*([1-9]\d{0,4})\s*(,\s*\+?\d+\s*)*")


def check_variables(variables: Mapping[str, str] = os.environ) -> None:
    """Looks at what a script would stumble over later, when folders have been made.

    Raises:
        UserError: SSM_BACKEND names no backend, or WORLD_SIZE was not set by torchrun.
    """
    backend_asked_for(variables)
    is_started_by_torchrun(variables)


def backend_asked_for(variables: Mapping[str, str] = os.environ) -> str | None:
    """Returns the backend that SSM_BACKEND names; None where it is not set or empty.

    Raises:
        UserError: there is no such backend.
    """
    name = variables.get(BACKEND) or None
    if name is not None and name not in BACKENDS:
        raise UserError(f"{BACKEND}={name}: unknown backend{did_you_mean(name, BACKENDS)}")
    return name


def is_started_by_torchrun(variables: Mapping[str, str] = os.environ) -> bool:
    """Tells whether this process is one of torchrun's. WORLD_SIZE=1 alone, which some images set, means nothing.

    Raises:
        UserError: WORLD_SIZE says that there are others, and nothing says how to find them.
    """
    if "WORLD_SIZE" not in variables:
        return False
    missing = [name for name in _OF_TORCHRUN if name not in variables]
    if not missing:
        return True
    if variables["WORLD_SIZE"].strip() in ("", "0", "1"):
        return False
    raise UserError(
        f"WORLD_SIZE={variables['WORLD_SIZE']} is set and {', '.join(missing)} "
        f"{'are' if len(missing) > 1 else 'is'} not: start with torchrun, or `unset WORLD_SIZE` for one process"
    )


def openmp_threads(variables: Mapping[str, str] = os.environ) -> int | None:
    """Returns the threads that OMP_NUM_THREADS asks for (of its outermost level); None where it is not set or is not OpenMP's."""
    found = _THREADS.fullmatch(variables.get("OMP_NUM_THREADS", ""))
    return None if found is None else int(found[1])
