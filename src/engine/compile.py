"""`torch.compile` as an option that is checked: one batch, loss and gradients, against the model as written."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from .batches import Batch
from .evaluate import Objective
from .state import undisturbed

TOLERANCE = 1e-3  # relative, in float32: reordered sums stay well below, a wrong kernel does not


def compiled(model: nn.Module, objective: Objective, batch: Batch, say: Callable[[str], None] = print) -> nn.Module:
    """Returns the compiled model, or the model itself (and says why) where compiling fails or changes the numbers.

    The check runs in evaluation mode, where dropout draws nothing and running statistics stay as they are.
    """
    was_training = model.training
    model.eval()
    try:
        with undisturbed():
            fast = torch.compile(model)
            error = _difference(_probe(fast, objective, batch), _probe(model, objective, batch))
    except Exception as problem:  # compilers raise anything
        first_line = (str(problem).strip().splitlines() or [type(problem).__name__])[0]
        say(f"torch.compile: failed ({first_line[:120]}); running the model as written")
        return model
    finally:
        model.train(was_training)
        model.zero_grad(set_to_none=True)
    if not error <= TOLERANCE:
        say(f"torch.compile: differs from the model as written by {error:.1e}; running the model as written")
        return model
    say(f"torch.compile: on (differs by {error:.1e} on one batch)")
    return fast


def _probe(model: nn.Module, objective: Objective, batch: Batch) -> tuple[Tensor, Tensor]:
    """The loss and its whole gradient as one vector."""
    model.zero_grad(set_to_none=True)
    loss, count = objective(model, batch)["loss"]
    (loss / count).backward()
    gradient = torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])
    return loss.detach() / count, gradient


def _difference(got: tuple[Tensor, Tensor], expected: tuple[Tensor, Tensor]) -> float:
    """The larger relative error of the two, in the norm."""
    return max(float((a - b).norm() / b.norm().clamp_min(1e-12)) for a, b in zip(got, expected, strict=True))
