"""The contract of a layer, as a check that names the method that is missing or the two that disagree.

    forward(x, state=None, lengths=None, return_state=False)   (B, L, H) to (B, L, H), or that and the state after it
    step(x_t, state, system=None)                              (B, H) to (B, H) and the next state: forward, one step at a time
    default_state(*batch)                                      the state before the first step
    discrete()                                                 optional: what `step` computes from parameters alone, its `system`

A layer that sees the future says so with `bidirectional = True`; it needs `forward` alone. Parameters are real tensors.
"""

import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import UserError

NO_STEP = "a bidirectional layer has no state and no step: its output depends on inputs still to come"
SIGNATURES = {
    "forward": ("x", "state=None", "lengths=None", "return_state=False"),
    "step": ("x", "state", "system=None"),
    "default_state": ("*batch",),
}
B, L, CUT = 2, 7, 4  # of the input that a layer is tried with
TOLERANCE = 1e-3  # of the largest output: float32 sums in another order


def is_causal(layer: nn.Module) -> bool:
    """Whether a layer has a state and a step."""
    return not getattr(layer, "bidirectional", False)


def system_of(layer: nn.Module) -> Any:
    """Returns what the layer's `step` computes from its parameters, None where it says nothing of it.

    Raises:
        ValueError: the layer is bidirectional.
    """
    discrete = getattr(causal(layer), "discrete", None)
    return None if discrete is None else discrete()


def causal(layer: nn.Module) -> nn.Module:
    """Returns the layer.

    Raises:
        ValueError: it is bidirectional.
    """
    if not is_causal(layer):
        raise ValueError(NO_STEP)
    return layer


def check_layer(layer: nn.Module, d_model: int) -> None:
    """Tries a layer on a short random input, in evaluation mode; its weights and the random state stay as they are.

    Args:
        layer: to be checked.
        d_model: its number of channels H.

    Raises:
        UserError: what the contract asks for and the layer has not, or what disagrees and by how much.
    """
    name = type(layer).__name__
    if not isinstance(layer, nn.Module):
        raise UserError(f"{name} is no torch.nn.Module")
    for method in SIGNATURES if is_causal(layer) else ("forward",):
        _check_method(layer, method)
    for key, parameter in layer.named_parameters():
        if parameter.is_complex():
            raise UserError(
                f"{name}.{key} is complex; keep its real and imaginary part as a last axis of two (view_as_real)"
            )
    training = layer.training
    layer.eval()
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        _check_behaviour(layer, d_model)
    layer.train(training)


def _check_method(layer: nn.Module, method: str) -> None:
    name, wanted = type(layer).__name__, SIGNATURES[method]
    found = getattr(layer, method, None)
    if not callable(found) or getattr(type(layer), method, None) is nn.Module.forward:
        hint = "" if method == "forward" else "; or bidirectional = True if it sees the future"
        raise UserError(f"{name} lacks the method {method}({', '.join(wanted)}) of a layer{hint}")
    positional = (None,) * (1 if method == "default_state" else len(wanted))
    try:
        inspect.signature(found).bind(*positional)
    except TypeError:
        own = ", ".join(inspect.signature(found).parameters)
        raise UserError(f"{name}.{method}({own}) is called as {method}({', '.join(wanted)})") from None


def _check_behaviour(layer: nn.Module, H: int) -> None:
    like = next(iter(layer.parameters()), torch.empty(0))
    x = torch.randn(B, L, H, generator=torch.Generator().manual_seed(0)).to(like)
    y = _called(layer, "forward", x, None, None, False)
    if not isinstance(y, Tensor) or y.shape != x.shape:
        got = f"a tensor {tuple(y.shape)}" if isinstance(y, Tensor) else f"a {type(y).__name__}"
        raise UserError(f"{type(layer).__name__}.forward gives {got} for x {tuple(x.shape)}; expected the shape of x")
    _check_lengths(layer, x)
    if is_causal(layer):
        _check_chunks(layer, x, y)
        _check_steps(layer, x, y)


def _check_lengths(layer: nn.Module, x: Tensor) -> None:
    dirty = x.clone()
    dirty[1, CUT:] += 10
    padded = _called(layer, "forward", dirty, None, torch.tensor([L, CUT], device=x.device), False)
    alone = _called(layer, "forward", x[1:, :CUT], None, None, False)
    _compare(layer, "forward with lengths", "forward of the sequence without its padding", padded[1, :CUT], alone[0])


def _check_chunks(layer: nn.Module, x: Tensor, y: Tensor) -> None:
    first = _called(layer, "forward", x[:, :CUT], None, None, True)
    if not isinstance(first, tuple) or len(first) != 2:
        raise UserError(f"{type(layer).__name__}.forward(..., return_state=True) must return (y, state)")
    rest = _called(layer, "forward", x[:, CUT:], first[1], None, False)
    _compare(layer, "forward in two chunks", "forward of the whole", torch.cat([first[0], rest], 1), y)


def _check_steps(layer: nn.Module, x: Tensor, y: Tensor) -> None:
    system = _called(layer, "discrete") if hasattr(layer, "discrete") else None
    state, steps = _called(layer, "default_state", B), []
    for t in range(L):
        made = _called(layer, "step", x[:, t], state, system)
        if not isinstance(made, tuple) or len(made) != 2:
            raise UserError(f"{type(layer).__name__}.step must return (y, state)")
        steps.append(made[0])
        state = made[1]
    _compare(layer, "step after step", "forward", torch.stack(steps, 1), y)


def _compare(layer: nn.Module, what: str, other: str, got: Tensor, want: Tensor) -> None:
    name = type(layer).__name__
    if got.shape != want.shape:
        raise UserError(f"{name}: {what} has the shape {tuple(got.shape)}, {other} {tuple(want.shape)}")
    error, size = float((got - want).abs().max()), float(want.abs().max())
    if not error <= TOLERANCE * size + 1e-6:
        raise UserError(f"{name}: {what} and {other} differ by {error:.2g}, where the output is at most {size:.2g}")


def _called(layer: nn.Module, method: str, *args: Any) -> Any:
    """The method's value; what it raises is a line that names it."""
    call: Callable[..., Any] = layer if method == "forward" else getattr(layer, method)
    try:
        return call(*args)
    except UserError:
        raise
    except Exception as error:
        text = (str(error).strip().splitlines() or [""])[0]
        raise UserError(f"{type(layer).__name__}.{method} raises {type(error).__name__}: {text}") from error
