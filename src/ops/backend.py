"""Which form of an operation computes on which device: the fastest one that a probe finds right there, or the one that is asked for.

| name        | what it is                                  | where                                              |
|-------------|---------------------------------------------|----------------------------------------------------|
| `reference` | the definition, readable and slow           | any device                                         |
| `torch`     | plain torch                                 | any device                                         |
| `compiled`  | Numba loops                                 | CPU                                                |
| `triton`    | fused kernels (Triton comes with CUDA torch) | CUDA; a CPU only under Triton's interpreter, to test |

A CPU takes `compiled`, a GPU `triton`, and `torch` is what both have left. A fused kernel depends on driver, compiler and card, so it
counts only after it has run once on this device, forward and backward, and agreed with the reference. The choice is printed once and kept
for the results (`chosen`). The environment variable SSM_BACKEND takes the choice away, probe included.
"""

import importlib.util
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from ..errors import UserError
from ..variables import BACKEND, BACKENDS, backend_asked_for
from .precision import full_precision

NAMES, VARIABLE = BACKENDS, BACKEND
TOLERANCE = 1e-4  # relative to the largest entry, float32: reordered sums stay far below, a wrong kernel does not

# what a probe returns: outputs and gradients, to be compared one by one
Probe = Callable[[Callable[..., Any], torch.device], Sequence[Tensor]]

_chosen: dict[str, str] = {}


@dataclass(frozen=True, eq=False)
class Operation:
    """An operation in several forms of one signature.

    Attributes:
        name: as it is printed.
        forms: by backend name; `reference` is always there. A form that needs Triton imports it when it is called.
        probe: runs a form on a small problem on a device and returns outputs and gradients; see `values_and_gradients`.
    """

    name: str
    forms: Mapping[str, Callable[..., Any]]
    probe: Probe
    _choices: dict[tuple[str, str | None], tuple[str, str]] = field(default_factory=dict, init=False, repr=False)

    def on(self, device: torch.device, backend: str | None = None) -> Callable[..., Any]:
        """Returns the form for a device, or the one that `backend` names.

        Raises:
            ValueError: `backend` names no form of this operation.
            UserError: SSM_BACKEND is no backend, or one that cannot run on this device.
        """
        name = self.backend(device) if backend is None else backend
        if name not in self.forms:
            raise ValueError(f"unknown {self.name} backend {name!r}, expected one of {sorted(self.forms)}")
        return self.forms[name]

    def backend(self, device: torch.device) -> str:
        """Returns the name of the form that a device gets, chosen (and announced) when it is first asked for."""
        if torch.compiler.is_compiling():  # what torch.compile and torch.export trace holds torch operations alone
            return "torch" if "torch" in self.forms else "reference"
        key = (str(device), backend_asked_for())
        if key not in self._choices:
            name, why = self._forced(device, key[1]) if key[1] else self._best(device)
            self._choices[key] = name, f"{name} on {device}{why}"
            print(f"{self.name} on {device}: {name}{why}", file=sys.stderr, flush=True)
        name, _chosen[self.name] = self._choices[key]  # kept at each use: SSM_BACKEND may have changed since
        return name

    def _forced(self, device: torch.device, name: str) -> tuple[str, str]:
        if name == "triton" and not has_triton(device):
            raise UserError(f"{VARIABLE}=triton needs a CUDA device and the package triton; this is {device}")
        if name == "compiled" and device.type != "cpu":
            raise UserError(f"{VARIABLE}=compiled runs on a CPU; this is {device}, use torch or triton")
        if name in self.forms:
            return name, f" ({VARIABLE})"
        other = "torch" if "torch" in self.forms else "reference"
        return other, f" ({VARIABLE}={name}: it has no such form)"

    def _best(self, device: torch.device) -> tuple[str, str]:
        if device.type == "cpu" and "compiled" in self.forms:
            return "compiled", ""
        other = "torch" if "torch" in self.forms else "reference"
        if device.type != "cuda" or "triton" not in self.forms:
            return other, ""
        if not has_triton(device):
            return other, " (slower: the package triton is missing)"
        try:
            error = self.error("triton", device)
        except Exception as problem:  # compilers and drivers raise anything
            first_line = (str(problem).strip().splitlines() or [""])[0]
            return other, f" (slower: triton failed with {type(problem).__name__}: {first_line[:120]})"
        if not error <= TOLERANCE:
            return other, f" (slower: triton differs from the reference by {error:.0e})"
        return "triton", f" (differs from the reference by {error:.0e})"

    def error(self, name: str, device: torch.device) -> float:
        """Returns the largest difference between a form and the reference on the probe, relative to the largest entry."""
        with torch.inference_mode(False), torch.enable_grad(), full_precision(device):
            got, want = (self.probe(self.forms[form], device) for form in (name, "reference"))
        worst = 0.0
        for x, y in zip(got, want, strict=True):
            difference = float((x - y).abs().max() / y.abs().max().clamp_min(1e-12))
            worst = max(worst, difference) if difference == difference else float("inf")
        return worst


def values_and_gradients(form: Callable[..., Any], leaves: Sequence[Tensor], seed: int = 0) -> list[Tensor]:
    """Returns the outputs of form(*leaves) and the gradients of all leaves that require one, under random weights on the outputs.

    Args:
        form: gives a tensor or a tuple of tensors.
    """
    outputs = form(*leaves)
    outputs = (outputs,) if isinstance(outputs, Tensor) else tuple(outputs)
    generator = torch.Generator().manual_seed(seed)
    loss = torch.zeros((), dtype=torch.float64, device=leaves[0].device)
    for output in outputs:
        weights = torch.randn(output.shape, generator=generator, dtype=torch.float64).to(output.device)
        terms = output * weights.to(output.dtype)
        loss = loss + (terms.real if terms.is_complex() else terms).sum().double()
    wanted = [leaf for leaf in leaves if leaf.requires_grad]
    return [output.detach() for output in outputs] + list(torch.autograd.grad(loss, wanted))


def has_triton(device: torch.device) -> bool:
    """Tells whether Triton's kernels can run on a device: a CUDA device, or a CPU under Triton's interpreter."""
    if importlib.util.find_spec("triton") is None:
        return False
    return device.type == "cuda" or os.environ.get("TRITON_INTERPRET") == "1"


def start_record() -> None:
    """Forgets what earlier runs of this process computed with."""
    _chosen.clear()


def chosen() -> dict[str, str]:
    """Returns what this process has computed with since `start_record`, by operation: for the results."""
    return dict(_chosen)
