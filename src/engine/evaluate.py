"""Objectives (what one batch measures) and evaluations (what a whole set measures).

An objective is any function (model, batch) -> {name: Ratio}; its "loss" is what training minimises. An evaluation is any function
model -> {name: float}. Several can run after every epoch: clean and noisy test sets are two evaluations of one model.
"""

import contextlib
import itertools
from collections.abc import Callable
from contextlib import AbstractContextManager

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..ops.precision import at_least_float32
from .batches import Batch, Batches, to_device
from .device import Precision, autocast
from .distributed import same_buffers
from .plan import limited
from .tally import Measures, Ratio, Tally

Objective = Callable[[nn.Module, Batch], Measures]
Evaluator = Callable[[nn.Module], dict[str, float]]


def classification(model: nn.Module, batch: tuple[Tensor, ...]) -> Measures:
    """Cross-entropy and accuracy of one class a sample; batch = (*inputs, target (B,)), model(*inputs) gives (B, classes)."""
    *inputs, target = batch
    return class_measures(model(*inputs), target)


def class_measures(logits: Tensor, target: Tensor) -> Measures:
    """Loss and accuracy for logits (B, classes) and target (B,)."""
    loss = F.cross_entropy(at_least_float32(logits), target, reduction="sum")
    return {"loss": Ratio(loss, len(target)), "accuracy": Ratio((logits.argmax(-1) == target).sum(), len(target))}


def number_measures(output: Tensor, target: Tensor, unit: float = 1.0) -> Measures:
    """Mean squared error, mean absolute error and R² of one number a sample.

    Args:
        output: (B, 1).
        target: (B,), in units of the training labels' standard deviation and relative to their mean: R² compares with always saying
            that mean, on whatever set it is measured.
        unit: that standard deviation; the mean absolute error is in the labels' own unit.
    """
    error = at_least_float32(output).squeeze(-1) - target
    squares = error.square().sum()
    baseline = target.square().sum()
    return {
        "loss": Ratio(squares, len(target)),
        "mae": Ratio(unit * error.abs().sum(), len(target)),
        "r2": Ratio(baseline - squares, baseline),
    }


class Evaluation:
    """The means of an objective over a set, in evaluation mode and without gradients, exact over unequal batches and processes.

    Args:
        batches: one unshuffled pass; under torchrun each process sees its own share.
        around: context held while the model is evaluated, made from the model: hooks that add noise, for example.
        limit: share (float) or number (int) of the batches.
    """

    def __init__(
        self,
        batches: Batches,
        objective: Objective,
        device: torch.device,
        precision: Precision = "fp32",
        around: Callable[[nn.Module], AbstractContextManager] = lambda model: contextlib.nullcontext(),
        limit: float | int = 1.0,
    ) -> None:
        self._batches, self._objective, self._device, self._precision = batches, objective, device, precision
        self._around, self._n_batches = around, limited(len(batches), limit)

    @torch.no_grad()
    def __call__(self, model: nn.Module) -> dict[str, float]:
        tally = Tally()
        was_training = model.training
        model.eval()
        same_buffers(model)
        try:
            with self._around(model):
                for batch in itertools.islice(self._batches.iterate(), self._n_batches):
                    with autocast(self._device, self._precision):
                        tally.add(self._objective(model, to_device(batch, self._device)))
        finally:
            model.train(was_training)
        return tally.means()
