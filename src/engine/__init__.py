"""One plain training loop for every script: `fit` advances a `TrainState` through `Batches` towards an objective."""

from ..tracking.checkpoint import read_checkpoint
from .batches import Batches, GeneratedBatches, TensorBatches
from .device import choose_device, describe_device
from .evaluate import Evaluation, class_measures, classification, number_measures
from .loop import fit
from .optim import group_table, make_optimizer, parameter_groups
from .plan import FitResult, Plan
from .ports import MemoryStore, Ports, Store, run_ports
from .schedule import make_schedule
from .staging import Staged
from .state import TrainState
from .tally import Ratio, Tally
from .weights import Ema, load_weights, weights_in

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
    "number_measures",
    "parameter_groups",
    "read_checkpoint",
    "run_ports",
    "weights_in",
]
