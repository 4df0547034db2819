"""One plain training loop for every script: `fit` advances a `TrainState` through `Batches` towards an objective."""

from src.engine.batches import Batches, DatasetBatches, GeneratedBatches, TensorBatches
from src.engine.device import choose_device, describe_device
from src.engine.ema import Ema
from src.engine.evaluate import Evaluation, class_measures, classification, token_measures
from src.engine.loop import fit
from src.engine.optim import group_table, make_optimizer, parameter_groups
from src.engine.plan import FitResult, Plan
from src.engine.schedule import make_schedule
from src.engine.staging import Staged
from src.engine.state import TrainState
from src.engine.stop import Stopped, stop_on_signals
from src.engine.store import FileStore, MemoryStore, RunStore, run_ports
from src.engine.tally import Ratio, Tally
from src.engine.weights import load_weights, weights_in
from src.tracking.checkpoint import read_checkpoint

__all__ = [
    "Batches",
    "DatasetBatches",
    "Ema",
    "Evaluation",
    "FileStore",
    "FitResult",
    "GeneratedBatches",
    "MemoryStore",
    "Plan",
    "Ratio",
    "RunStore",
    "Staged",
    "Stopped",
    "Tally",
    "TensorBatches",
    "TrainState",
    "choose_device",
    "class_measures",
    "classification",
    "describe_device",
    "fit",
    "group_table",
    "load_weights",
    "make_optimizer",
    "make_schedule",
    "parameter_groups",
    "read_checkpoint",
    "run_ports",
    "stop_on_signals",
    "token_measures",
    "weights_in",
]
