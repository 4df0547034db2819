"""A sweep: a list of runs, done in worker processes (or on Ray), resumable, truthful about what failed."""

from src.stop import Interrupted
from src.sweep.control import Control
from src.sweep.folder import RunFolder, Status, collect
from src.sweep.ledger import SweepOutcome
from src.sweep.run import Run
from src.sweep.survey import Survey, survey
from src.sweep.sweep import run_sweep

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
