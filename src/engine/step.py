"""One update of the weights from one or more batches.

The gradients of the batches' summed losses are added up and divided once by the number of targets in all of them, over all processes
too. So accumulation and several processes give the gradient of the one large batch, exactly, also where batches differ in length.

What changes from step to step without being a batch (learning rates, the step's number) is written to the device first. The update itself
then reads nothing but tensors, waits for no value and works in place, so that it can be captured once and repeated (`graphs.py`).
"""

import contextlib
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grads_with_norm_, get_total_norm

from . import distributed
from .batches import Batch, to_device
from .device import autocast
from .evaluate import Objective
from .graphs import CudaCapture, Graphs
from .nan_guard import first_bad_tensor
from .optim import make_capturable
from .plan import Plan
from .state import TrainState
from .tally import Measures, Ratio


class Step:
    """Calling it with batches does one update and returns its learning rate.

    Args:
        runner: what is called with a batch: `state.model`, or its compiled or distributed form.
    """

    def __init__(self, state: TrainState, runner: nn.Module, objective: Objective, plan: Plan, device: torch.device):
        self._state, self._runner, self._plan, self._device = state, runner, plan, device
        self._objective = at_precision(objective, plan, device)
        self._check_every = plan.check_every or (plan.log_every if device.type == "cuda" else 1)
        self._number = torch.zeros((), dtype=torch.int64, device=device)  # of the running step, from 1
        self._first_bad = torch.full((), -1, device=device)  # the first step whose loss or gradient was not finite
        self._repeat: Callable[[list[Batch]], None] = self._update
        if plan.cuda_graph:
            make_capturable(state.optimizer)
            self._repeat = Graphs(self._update, CudaCapture())

    def __call__(self, batches: list[Batch]) -> float:
        self._batches = [to_device(batch, self._device) for batch in batches]
        lr = self._state.set_rates()
        self._number.fill_(self._state.step + 1)
        self._repeat(self._batches)
        self._state.step += 1
        self._state.batch += len(batches)
        if self._state.step % self._check_every == 0:
            self.check_finite()
        return lr

    def _update(self, batches: list[Batch]) -> None:
        """One update from batches on the device; what it leaves is in place."""
        loss = self._backward(batches)
        is_finite = self._divide_gradients(loss) & torch.isfinite(loss[0])
        is_first = (self._first_bad < 0) & ~is_finite
        self._first_bad.copy_(torch.where(is_first, self._number, self._first_bad))
        if self._check_every == 1 and not self._plan.cuda_graph:
            self.check_finite()  # before the weights change: they show which tensor was the first
        self._change_weights()

    def _backward(self, batches: list[Batch]) -> Tensor:
        """Adds up gradients; returns (the summed loss, the number of targets) over all batches and processes, (2,)."""
        loss = torch.zeros(2, dtype=torch.float64, device=self._device)
        for i, batch in enumerate(batches):
            is_last = i == len(batches) - 1
            no_sync = getattr(self._runner, "no_sync", contextlib.nullcontext)
            with contextlib.nullcontext() if is_last else no_sync():  # processes exchange gradients once a step
                measures = self._objective(self._runner, batch)
                self._state.scaler.scale(measures["loss"].total).backward()
            loss += self._state.window.add(measures)["loss"]
            self._state.epoch_tally.add(measures)
        return distributed.sum_(loss)

    def _divide_gradients(self, loss: Tensor) -> Tensor:
        """Turns gradients of sums into those of means, clipped; returns whether they are finite, (): a tensor on the device."""
        state = self._state
        state.scaler.unscale_(state.optimizer)
        parameters = [p for group in state.optimizer.param_groups for p in group["params"] if p.grad is not None]
        gradients = [p.grad for p in parameters]
        # processes have averaged their sums; a step without a target has gradient 0
        torch._foreach_mul_(gradients, (distributed.world_size() / loss[1].clamp_min(1)).to(gradients[0].dtype))
        norm = get_total_norm(gradients)
        if self._plan.gradient_clip_val is not None:
            clip_grads_with_norm_(parameters, self._plan.gradient_clip_val, norm)
        if state.scaler.is_enabled():  # it expects overflow, and then skips the update
            return torch.ones_like(norm, dtype=torch.bool)
        state.window.add({"grad_norm": Ratio(norm, 1)})
        return torch.isfinite(norm)

    def _change_weights(self) -> None:
        state = self._state
        state.scaler.step(state.optimizer)
        state.scaler.update()
        state.optimizer.zero_grad(set_to_none=True)
        if state.ema:
            state.ema.update()

    def check_finite(self) -> None:
        """Looks back at all steps so far; waits for the device.

        Raises:
            FloatingPointError: a loss or a gradient was not finite; names the first tensor that was not.
        """
        step = int(self._first_bad)
        if step < 0:
            return
        found = distributed.gather(first_bad_tensor(self._state.model, self._objective, self._batches))
        name = next((name for name in found if name), "unknown: all were finite when the same batches ran again")
        early = "check_every=1 and cuda_graph=false" if self._plan.cuda_graph else "check_every=1"
        is_early = self._check_every == 1 and not self._plan.cuda_graph
        hint = "" if is_early else f"; resume with {early} to see where it began"
        raise FloatingPointError(f"step {step}: the first tensor that is not finite is {name}{hint}")


def at_precision(objective: Objective, plan: Plan, device: torch.device) -> Objective:
    """Returns the objective under the plan's autocast."""

    def run(model: nn.Module, batch: Batch) -> Measures:
        with autocast(device, plan.precision):
            return objective(model, batch)

    return run
