"""What a classifier's run costs: its steps, which the size of its data decides, and the time and memory of one."""

from collections.abc import Hashable

import torch

from ...config import canonical_json
from ...cost import StepCost
from ...engine.measure import training_cost
from ...engine.plan import limited
from ...ops.announce import announce_compilation
from ...sweep import Run
from .config import TrainConfig, parse
from .data import load_splits
from .run import Prepared, prepare

_EVALUATION = 1 / 3  # of a training step's time: no gradient
_OF_ONE_RUN = ("train", "asked")  # what differs between runs that cost the same


def steps_an_epoch(config: TrainConfig, n_train: int) -> int:
    """Returns the updates of an epoch on so many examples."""
    loader, trainer = config.loader, config.trainer
    batches = n_train // loader.batch_size if loader.drop_last else -(-n_train // loader.batch_size)
    return -(-limited(max(1, batches), trainer.limit_train_batches) // trainer.accumulate_grad_batches)


def total_steps(config: TrainConfig, n_train: int) -> int:
    """Returns the updates of a whole run on so many examples."""
    trainer = config.trainer
    limits = [trainer.max_steps, trainer.max_epochs and trainer.max_epochs * steps_an_epoch(config, n_train)]
    return min(limit for limit in limits if limit)


class RunCosts:
    """Steps and costs of the runs of a sweep; each data set is read once."""

    def __init__(self) -> None:
        self._sizes: dict[str, int] = {}

    def steps(self, run: Run) -> int:
        """Returns the updates of a run.

        Raises:
            UserError: its data are not there.
        """
        config, key = parse(run.config), canonical_json(run.config["dataset"])
        if key not in self._sizes:
            self._sizes[key] = len(load_splits(config).train)
        return total_steps(config, self._sizes[key])

    def of_step(self, run: Run) -> StepCost:
        """Measures a step of a run on this CPU."""
        return step_cost(prepare(parse(run.config), torch.device("cpu")))

    def alike(self, run: Run) -> Hashable:
        """Runs of equal value cost the same: all but seeds and what is asked for only to be recorded."""
        return canonical_json({key: value for key, value in run.config.items() if key not in _OF_ONE_RUN})


def step_cost(prepared: Prepared) -> StepCost:
    """Measures an update, with its share of the evaluation after each epoch."""
    announce_compilation()
    config, splits = prepared.config, prepared.splits

    def make_batch(size: int) -> object:
        return next(iter(prepared.data.batches(splits.train, size).iterate()))

    batch_size = min(config.loader.batch_size, len(splits.train))
    model, goal, precision = prepared.model, prepared.goal, config.trainer.precision
    one = training_cost(model, goal.objective, make_batch, batch_size, prepared.device, precision)
    update = one.seconds * config.trainer.accumulate_grad_batches
    evaluated = one.seconds * _EVALUATION * len(splits.val) / batch_size / steps_an_epoch(config, len(splits.train))
    return StepCost(update + evaluated, one.memory)
