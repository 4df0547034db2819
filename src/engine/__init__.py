"""One plain training loop for every script: `fit` advances a `TrainState` through `Batches` towards an objective."""

from ..lazy import attach

PLACES = {
    "batches": ("Batches", "GeneratedBatches", "TensorBatches"),
    "device": ("choose_device", "describe_device"),
    "evaluate": ("Evaluation", "class_measures", "classification", "number_measures"),
    "loop": ("fit",),
    "optim": ("group_table", "make_optimizer", "parameter_groups"),
    "plan": ("Best", "FitResult", "Plan"),
    "ports": ("MemoryStore", "Ports", "Store", "run_ports"),
    "schedule": ("make_schedule",),
    "staging": ("Staged",),
    "state": ("TrainState",),
    "tally": ("Ratio", "Tally"),
    "weights": ("Ema", "load_weights", "weights_in"),
}
__getattr__, __all__ = attach(__name__, PLACES)
