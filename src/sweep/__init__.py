"""A sweep: a list of runs, done in worker processes (or on Ray), resumable, truthful about what failed."""

from ..stop import Interrupted
from .control import Control
from .folder import RunFolder, Status, collect
from .ledger import SweepOutcome
from .run import Run
from .survey import Survey, survey
from .sweep import run_sweep

__all__ = [
    "Control",
    "Interrupted",
    "Run",
    "RunFolder",
    "Status",
    "Survey",
    "SweepOutcome",
    "collect",
    "run_sweep",
    "survey",
]
