"""A layer, a kernel or a task of the user's, by dotted path (`config/own_code.py`): `model.layer._target_=my_module.MyLayer`.

section               made as                                           must be
model.layer           MyLayer(d_model=H, **keys)                        a layer (`layers/contract.py`)
model.layer.kernel    MyKernel(H=H, d_state=..., **options, **keys)     a `Kernel`; options are those of `Kernel`
task                  MyTask(**keys)                                    `loss(output, target)` and `score(output, target)`
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from ...config.own_code import TARGET, OwnCode
from ...errors import UserError
from ...kernels import Kernel
from ...layers.contract import check_layer
from .own_sections import TASK, is_own


@dataclass(frozen=True)
class OwnLayer:
    """A layer of the user's; it draws its weights from torch's generator, which the run's seed sets."""

    code: OwnCode

    def make(self, H: int, dropout: float, tie_dropout: bool, generator: torch.Generator) -> nn.Module:
        """Returns the layer; the dropout of the model stands behind it, and inside it is the layer's affair.

        Raises:
            UserError: the class is not to be had or breaks the contract of layers.
        """
        layer = self.code.make(d_model=H)
        _checked(self.code, layer, H)
        return layer


class _AroundKernel(Protocol):
    """What an own kernel needs of the layer that it stands in."""

    d_state: int

    def options(self, generator: torch.Generator) -> dict[str, Any]: ...

    def around(self, kernel: Kernel, dropout: float, tie_dropout: bool) -> nn.Module: ...


@dataclass(frozen=True)
class OwnKernelLayer:
    """S4's layer around a kernel of the user's; the keys of the kernel that it replaces (init, disc, B_init) go unread."""

    layer: _AroundKernel
    code: OwnCode

    @property
    def d_state(self) -> int:
        return self.layer.d_state

    def make(self, H: int, dropout: float, tie_dropout: bool, generator: torch.Generator) -> nn.Module:
        """Returns the layer.

        Raises:
            UserError: the class is not to be had, is no `Kernel`, or its methods disagree.
        """
        kernel = self.code.make(H=H, d_state=self.d_state, **self.layer.options(generator))
        if not isinstance(kernel, Kernel):
            raise UserError(
                f"{self.code.where}: {self.code.target} is no subclass of Kernel (ssm.Kernel, ssm.DiagonalSystem)"
            )
        layer = self.layer.around(kernel, dropout, tie_dropout)
        _checked(self.code, layer, H)
        return layer


class OwnMeasure(Protocol):
    """What a task of the user's is.

    Attributes:
        n_outputs: optional; numbers that the model gives for a sequence, else the number of classes, or 1.
    """

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        """output: (B, n_outputs); target: (B,), classes or standardised numbers. Returns (B,), what training minimises."""
        ...

    def score(self, output: Tensor, target: Tensor) -> Tensor:
        """As `loss`; what is reported and decides which weights are best. Larger is better."""
        ...


@dataclass(frozen=True)
class OwnTask:
    """A loss and a score of the user's."""

    code: OwnCode

    def make(self) -> OwnMeasure:
        """Returns the task.

        Raises:
            UserError: the class is not to be had or lacks a method.
        """
        made = self.code.make()
        for method in ("loss", "score"):
            if not callable(getattr(made, method, None)):
                raise UserError(f"{TASK}: {self.code.target} lacks the method {method}(output, target) of a task")
        return made


def own_code(parts: Iterable[Any]) -> list[OwnCode]:
    """Returns the own code among the parts of a parsed config."""
    return [part.code for part in parts if isinstance(part, (OwnLayer, OwnKernelLayer, OwnTask))]


def named_in(config: Mapping[str, Any]) -> list[str]:
    """Returns the dotted paths that a plain config names, of which nothing is looked for."""
    held = lambda section, key: section.get(key) if isinstance(section, Mapping) else None
    layer = held(held(config, "model"), "layer")
    sections = (layer, held(layer, "kernel"), held(config, "task"))
    return [str(section[TARGET]) for section in sections if is_own(section)]


def _checked(code: OwnCode, layer: nn.Module, H: int) -> None:
    try:
        check_layer(layer, H)
    except UserError as error:
        raise UserError(f"{code.where}.{TARGET} = {code.target}: {error}") from error
