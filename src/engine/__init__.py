"""One plain training loop for every script: `fit` advances a `TrainState` through `Batches` towards an objective."""

from src.engine.batches import Batches, GeneratedBatches, TensorBatches
from src.engine.device import choose_device, describe_device
from src.engine.evaluate import Evaluation, class_measures, classification
from src.engine.loop import fit
from src.engine.optim import group_table, make_optimizer, parameter_groups
from src.engine.plan import FitResult, Plan
from src.engine.ports import MemoryStore, Ports, Store, run_ports
from src.engine.schedule import make_schedule
from src.engine.staging import Staged
from src.engine.state import TrainState
from src.engine.tally import Ratio, Tally
from src.engine.weights import Ema, load_weights, weights_in
from src.tracking.checkpoint import read_checkpoint

__all__ = [
    "Batches",
    "Ema",
    "Evaluation",
    "FitResult",
    "GeneratedBatches",
    "MemoryStore",
    "Plan",
    "Ports",
    "Ratio",
    "Staged",
    "Store",
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
    "weights_in",
]
