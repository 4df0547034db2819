"""`model.layer` of a config: one class a layer, whose fields are the YAML's keys and whose `make` builds the module.

`d_state` counts complete states (64 are 32 conjugate pairs), except for S4-PTD with `states: all`, where it counts complex ones.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
import torch
from torch import nn

from ...config import LARGEST, NotNegative, Range, Size, build
from ...errors import UserError, did_you_mean, shown
from ...kernels import DiagonalKernel, DPLRKernel, Kernel, RealDiagonalKernel
from ...kernels.diagonal import INITS, DiagonalInit
from ...kernels.parameters import learning_rates
from ...kernels.ptd import ptd_init
from ...layers import S5, S4Block, S5Block, S5Options
from ...layers.s5_init import Eigenbasis, normal_eigenbasis, perturbed_eigenbasis
from ...linalg.hippo import legs
from ...linalg.ptd import Perturbation, named_perturbation

WHERE = "model.layer"
_Channels = Annotated[int, Range(1, 1024)]
_Step = Annotated[float, Range(1e-12, 1e6)]
_Distance = Annotated[float, Range(1e-12, 1e3)]  # of E from 0, as a share of A_H
DIAGONAL_INITS = ("legs", *(f"diag-{name}" for name in INITS))
DPLR_INITS = ("legs", "legt", "fourier")


@dataclass(frozen=True, kw_only=True)
class S4Layer:
    """S4: diagonal plus low rank.

    `disc` None is bilinear here and zero-order hold for a diagonal SSM; `lr` holds the rates of dt, A, B and C, where None is the global
    one.
    """

    d_state: Size = 64
    init: str = "legs"
    disc: Literal["bilinear", "zoh"] | None = None
    channels: _Channels = 1
    bidirectional: bool = False
    activation: str | None = "gelu"
    final_act: str | None = "glu"
    n_ssm: int | None = 1
    dt_min: _Step = 0.001
    dt_max: _Step = 0.1
    dt_transform: str = "softplus"
    lr: tuple[float | None, float | None, float | None, float | None] = (0.001, 0.001, 0.001, None)
    is_real: bool = False

    def __post_init__(self) -> None:
        self.check()

    def check(self) -> None:
        """Raises UserError for what does not belong together."""
        if self.is_real:
            raise UserError(f"{WHERE}.is_real = true needs a diagonal SSM; add `model/layer=s4d`")
        if self.init in DPLR_INITS:
            return
        if self.init in DIAGONAL_INITS:
            raise UserError(f"{WHERE}.init = {self.init} is for a diagonal SSM and this is S4; add `model/layer=s4d`")
        raise UserError(f"{WHERE}.init: unknown init '{self.init}' of S4{did_you_mean(self.init, DPLR_INITS)}")

    def kernel(self, H: int, options: dict[str, Any]) -> Kernel:
        """Returns the kernel of H channels."""
        return DPLRKernel(H, self.d_state, init=self.init, disc=self.disc or "bilinear", **options)

    def make(self, H: int, dropout: float, tie_dropout: bool, generator: torch.Generator) -> nn.Module:
        """Returns the layer."""
        options = {
            "channels": self.channels * (2 if self.bidirectional else 1),
            "dt_min": self.dt_min,
            "dt_max": self.dt_max,
            "dt_transform": self.dt_transform,
            "n_ssm": self.n_ssm,
            "lr": dict(zip(("dt", "A", "B", "C"), self.lr, strict=True)),
            "generator": generator,
        }
        return S4Block(
            self.kernel(H, options),
            bidirectional=self.bidirectional,
            activation=self.activation,
            final_act=self.final_act,
            dropout=dropout,
            tie_dropout=tie_dropout,
        )


@dataclass(frozen=True, kw_only=True)
class S4DLayer(S4Layer):
    """S4D, complex or (`is_real`) real."""

    init: str = "diag-lin"

    def check(self) -> None:
        if self.init in DIAGONAL_INITS or self.init in INITS:
            return
        if self.init in DPLR_INITS:
            raise UserError(f"{WHERE}.init = {self.init} needs a low-rank term and this is S4D; add `model/layer=s4`")
        raise UserError(f"{WHERE}.init: unknown init '{self.init}' of S4D{did_you_mean(self.init, DIAGONAL_INITS)}")

    def kernel(self, H: int, options: dict[str, Any]) -> Kernel:
        kind = RealDiagonalKernel if self.is_real else DiagonalKernel
        return kind(H, self.d_state, init=self.init, disc=self.disc or "zoh", **options)


@dataclass(frozen=True, kw_only=True)
class PTDLayer(S4Layer):
    """S4-PTD; see `configs/model/layer/s4-ptd.yaml`."""

    states: Literal["all", "pairs"] = "all"
    perturbation: str | None = None
    perturbation_size: _Distance | None = None
    reflect: bool = True

    def check(self) -> None:
        if self.is_real:
            raise UserError(
                f"{WHERE}.is_real = true: a perturbed HiPPO matrix has complex poles; add `model/layer=s4d`"
            )
        if self.init not in ("legs", "diag-legs"):
            raise UserError(
                f"{WHERE}.init = {self.init}: S4-PTD starts from HiPPO-LegS; use init: legs, or model/layer=s4d"
            )

    def kernel(self, H: int, options: dict[str, Any]) -> Kernel:
        found = named_perturbation(self.perturbation, self.d_state, self.perturbation_size)
        init = all_states(found, self.reflect) if self.states == "all" else ptd_init(found, self.reflect)
        return DiagonalKernel(H, init=init, disc=self.disc or "zoh", **options)


def all_states(perturbation: Perturbation, reflect: bool) -> DiagonalInit:
    """Where S4-PTD starts on all n complex states, also where E is real: no state stands for its conjugate."""
    found = perturbation.reflected() if reflect else perturbation
    ptd_init(found)  # refuses Re(Lambda) >= 0
    B = found.Vinv @ legs(found.n)[1]
    return DiagonalInit(found.Lambda.astype(complex), B.astype(complex), found.V.astype(complex), np.ones(found.n))


@dataclass(frozen=True, kw_only=True)
class S5Layer:
    """S5; the names that are not in `S5Options` are its constructors'. `lr` is that of the SSM, where None is the global one."""

    d_state: Size = 256
    blocks: Size = 8
    conj_sym: bool = True
    disc: str = "zoh"
    dt_min: _Step = 0.001
    dt_max: _Step = 0.1
    dt_global: bool = False
    B_init: str = "lecun_normal"
    C_init: str = "lecun_normal"
    bidirectional: bool = True
    poles: Literal["free", "clip", "reflect"] = "free"
    opt_config: str = "standard"
    lr: NotNegative | None = 0.001
    activation: str = "half_glu1"

    def __post_init__(self) -> None:
        if self.d_state < 1 or self.blocks < 1 or self.d_state % self.blocks:
            raise UserError(f"{WHERE}: blocks = {self.blocks} must divide d_state = {self.d_state}")

    def block(self) -> Eigenbasis:
        """Returns the eigenbasis of one diagonal block."""
        return normal_eigenbasis(self.d_state // self.blocks)

    def make(self, H: int, dropout: float, tie_dropout: bool, generator: torch.Generator) -> nn.Module:
        """Returns the layer."""
        options = S5Options(
            conj_sym=self.conj_sym,
            disc=self.disc,
            dt_min=self.dt_min,
            dt_max=self.dt_max,
            B_init=self.B_init,
            C_init=self.C_init,
            bidirectional=self.bidirectional,
            poles=self.poles,
            opt_config=self.opt_config,
            ssm_lr=self.lr,
            dt_global=self.dt_global,
        )
        ssm = S5(H, self.block(), self.blocks, options, generator)
        return S5Block(ssm, self.activation, dropout, tie_dropout)


@dataclass(frozen=True, kw_only=True)
class S5PTDLayer(S5Layer):
    """S5 from perturbed blocks."""

    conj_sym: bool = False
    perturbation: str | None = None
    perturbation_size: _Distance | None = None

    def block(self) -> Eigenbasis:
        n = self.d_state // self.blocks
        return perturbed_eigenbasis(named_perturbation(self.perturbation, n, self.perturbation_size))


Layer = S4Layer | S5Layer
LAYERS: dict[str, type[Layer]] = {
    "s4": S4Layer,
    "s4d": S4DLayer,
    "s4-ptd": PTDLayer,
    "s5": S5Layer,
    "s5-ptd": S5PTDLayer,
}


def parse_layer(mapping: Mapping[str, Any]) -> Layer:
    """Returns the layer that `model.layer` describes.

    Raises:
        UserError: an unknown layer or key, a value of the wrong type, or an impossible pair.
    """
    rest = dict(mapping)
    name = rest.pop("_name_", None)
    if not isinstance(name, str):
        raise UserError(f"{WHERE}._name_ = {shown(name)}: expected a name{did_you_mean('', LAYERS)}")
    if name not in LAYERS:
        raise UserError(f"{WHERE}._name_: unknown layer '{name}'{did_you_mean(str(name), LAYERS)}")
    if issubclass(LAYERS[name], S4Layer) and "lr" in rest:
        rest["lr"] = _rates(rest["lr"])
    return build(LAYERS[name], rest, WHERE)


def _rates(lr: Any) -> tuple[float | None, ...]:
    values = lr.values() if isinstance(lr, Mapping) else [lr]
    for value in values:
        number = isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) <= LARGEST
        if value is not None and not number:
            raise UserError(f"{WHERE}.lr: {shown(value)} is not a number, null, or a mapping of dt, A, B to those")
    rates = learning_rates(lr)
    return tuple(rates[name] for name in ("dt", "A", "B", "C"))
