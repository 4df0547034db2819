"""When the loss is not finite: find the first tensor that is not, in the order in which it was computed."""

import contextlib
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from .batches import Batch, tensors_in
from .evaluate import Objective


def first_bad_tensor(model: nn.Module, objective: Objective, batches: Iterable[Batch]) -> str | None:
    """Returns the name of the first tensor with a NaN or an infinity: a parameter, an input, an output, the loss or a gradient.

    None when all are finite this time, as random draws can make them.

    Runs the batches again. Call it before the optimizer has used the gradients, and throw the model away afterwards.
    """
    for name, parameter in model.named_parameters():
        if _is_bad(parameter):
            return f"parameter '{name}'"
    for name, buffer in _constants(model):
        if _is_bad(buffer):
            return f"buffer '{name}'"
    model.zero_grad(set_to_none=True)
    for batch in batches:
        with _watched(model) as bad:
            loss = objective(model, batch)["loss"].total
            if not bad and _is_bad(loss):
                bad.append("the loss")
            if not bad:
                loss.backward()
        if bad:
            return bad[0]
    return None


def _constants(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Buffers, but for running statistics: those only show that something bad has already passed."""
    for prefix, module in model.named_modules():
        if not isinstance(module, nn.modules.batchnorm._NormBase):
            yield from module.named_buffers(prefix, recurse=False)


@contextlib.contextmanager
def _watched(model: nn.Module) -> Iterator[list[str]]:
    """While held, the returned list collects the names of bad tensors as they are computed."""
    bad: list[str] = []
    handles = []
    for name, module in model.named_modules():
        label = name or type(module).__name__
        handles.append(module.register_forward_pre_hook(_input_hook(label, bad)))
        handles.append(module.register_forward_hook(_output_hook(label, bad)))
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            handles.append(parameter.register_post_accumulate_grad_hook(_gradient_hook(name, bad)))
    try:
        yield bad
    finally:
        for handle in handles:
            handle.remove()


def _input_hook(label: str, bad: list[str]):
    def hook(module: nn.Module, inputs: Any) -> None:
        if any(map(_is_bad, tensors_in(inputs))):
            bad.append(f"the input of '{label}'")

    return hook


def _output_hook(label: str, bad: list[str]):
    def hook(module: nn.Module, inputs: Any, output: Any) -> None:
        if any(map(_is_bad, tensors_in(output))):
            bad.append(f"the output of '{label}'")

    return hook


def _gradient_hook(name: str, bad: list[str]):
    def hook(parameter: Tensor) -> None:
        if _is_bad(parameter.grad):
            bad.append(f"the gradient of '{name}'")

    return hook


def _is_bad(tensor: Tensor) -> bool:
    return (tensor.is_floating_point() or tensor.is_complex()) and not bool(torch.isfinite(tensor.detach()).all())
