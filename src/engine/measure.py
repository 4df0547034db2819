"""What a training step costs on this machine: forward and backward of a copy of the model, before training begins."""

import copy
from collections.abc import Callable

import torch
from torch import nn

from ..cost import StepCost, measure_step
from ..variables import openmp_threads
from .batches import Batch, to_device
from .device import Precision, autocast
from .evaluate import Objective
from .state import undisturbed


def training_cost(
    model: nn.Module,
    objective: Objective,
    make_batch: Callable[[int], Batch],
    batch_size: int,
    device: torch.device,
    precision: Precision = "fp32",
) -> StepCost:
    """Returns the time and memory of a step; neither the model nor any random number is changed.

    Args:
        make_batch: returns a batch of a given size.
    """
    model = copy.deepcopy(model)

    def step(size: int) -> None:
        batch = to_device(make_batch(size), device)
        with autocast(device, precision):
            loss = objective(model, batch)["loss"].total
        loss.backward()
        model.zero_grad(set_to_none=True)
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    threads = torch.get_num_threads()
    torch.set_num_threads(openmp_threads() or 1)  # as a sweep's worker has them
    try:
        with undisturbed():
            return measure_step(step, batch_size)
    finally:
        torch.set_num_threads(threads)
