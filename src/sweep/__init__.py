"""A sweep: a list of runs, done in worker processes (or on Ray), resumable, truthful about what failed."""

from src.sweep.control import Control, Interrupted
from src.sweep.folder import RunFolder, Status, collect
from src.sweep.ledger import SweepOutcome
from src.sweep.plan import Plan, plan
from src.sweep.run import Run
from src.sweep.sweep import run_sweep

__all__ = [
    "Control",
    "Interrupted",
    "Plan",
    "Run",
    "RunFolder",
    "Status",
    "SweepOutcome",
    "collect",
    "plan",
    "run_sweep",
]
