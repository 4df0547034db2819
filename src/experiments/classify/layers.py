"""`model.layer` of a config: one class a layer, whose fields are the YAML's keys and whose `make` builds the module.

`d_state` counts complete states (64 are 32 conjugate pairs); those of S4-PTD are the n of its perturbation.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

import torch
from torch import nn

from ...config import LARGEST, NotNegative, Positive, Range, Size, build
from ...config.own_code import TARGET, OwnCode
from ...errors import UserError, did_you_mean, shown
from ...kernels import DiagonalKernel, DPLRKernel, Kernel, RealDiagonalKernel
from ...kernels.diagonal import INITS
from ...kernels.parameters import learning_rates
from ...kernels.ptd import States, ptd_init
from ...layers import S5, S4Block, S5Block, S5Options
from ...layers.s5_init import Eigenbasis, normal_eigenbasis, perturbed_eigenbasis
from .own import OwnKernelLayer, OwnLayer
from .own_sections import KERNEL, is_own
from .perturbed import WHERE, Perturbed

_Channels = Annotated[int, Range(1, 1024)]
_Step = Annotated[float, Range(1e-12, 1e6)]
DIAGONAL_INITS = ("legs", *(f"diag-{name}" for name in INITS))
DPLR_INITS = ("legs", "legt", "fourier")
RATES = ("dt", "A", "B", "C")  # what the four numbers of `lr` are the rates of


@dataclass(frozen=True, kw_only=True)
class S4Layer:
    """S4: diagonal plus low rank.

    `disc` None is bilinear here and zero-order hold for a diagonal SSM; `lr` holds the rates of dt, A, B and C, where None is the global
    one.
    """

    d_state: Size = 64
    init: str = "legs"
    B_init: Literal["published", "exact"] = "published"
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
    skip: bool = True
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
        return DPLRKernel(H, self.d_state, init=self.init, B_init=self.B_init, disc=self.disc or "bilinear", **options)

    def make(self, H: int, dropout: float, tie_dropout: bool, generator: torch.Generator) -> nn.Module:
        """Returns the layer."""
        return self.around(self.kernel(H, self.options(generator)), dropout, tie_dropout)

    def options(self, generator: torch.Generator) -> dict[str, Any]:
        """Returns the keywords that every kernel takes."""
        return {
            **{name: getattr(self, name) for name in ("dt_min", "dt_max", "dt_transform", "n_ssm")},
            "channels": self.channels * (2 if self.bidirectional else 1),
            "lr": dict(zip(RATES, self.lr, strict=True)),
            "generator": generator,
        }

    def around(self, kernel: Kernel, dropout: float, tie_dropout: bool) -> nn.Module:
        """Returns the layer of a kernel."""
        return S4Block(
            kernel,
            bidirectional=self.bidirectional,
            skip=self.skip,
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
        start = {"init": self.init, "disc": self.disc or "zoh"}
        if self.is_real:
            return RealDiagonalKernel(H, self.d_state, **start, **options)
        return DiagonalKernel(H, self.d_state, B_init=self.B_init, **start, **options)


@dataclass(frozen=True, kw_only=True)
class PTDLayer(Perturbed, S4Layer):
    """S4-PTD; see `configs/model/layer/s4-ptd.yaml`."""

    B_init: Literal["published", "exact"] = "exact"
    states: States = "all"
    weight: Positive | None = None

    def check(self) -> None:
        if self.is_real:
            raise UserError(
                f"{WHERE}.is_real = true: a perturbed HiPPO matrix has complex poles; add `model/layer=s4d`"
            )
        if self.B_init != "exact":
            raise UserError(f"{WHERE}.B_init = {self.B_init}: S4-PTD's B is V^-1 B_H; use B_init: exact")
        if self.init not in ("legs", "diag-legs"):
            raise UserError(
                f"{WHERE}.init = {self.init}: S4-PTD starts from HiPPO-LegS; use init: legs, or model/layer=s4d"
            )

    def kernel(self, H: int, options: dict[str, Any]) -> Kernel:
        init = ptd_init(self.trained(), self.states, self.reflect, self.weight)
        return DiagonalKernel(H, init=init, disc=self.disc or "zoh", **options)


@dataclass(frozen=True, kw_only=True)
class S5Layer(S5Options):
    """S5: the SSM's options, its states and the map behind it. `conj_sym` None is for a subclass."""

    d_state: Size = 256
    blocks: Size = 8
    conj_sym: bool | None = True
    dt_min: _Step = 0.001
    dt_max: _Step = 0.1
    C_init: str = "lecun_normal"
    bidirectional: bool = True
    lr: NotNegative | None = 0.001
    activation: str = "half_glu1"

    def __post_init__(self) -> None:
        if self.d_state < 1 or self.blocks < 1 or self.d_state % self.blocks:
            raise UserError(f"{WHERE}: blocks = {self.blocks} must divide d_state = {self.d_state}")

    def block(self) -> Eigenbasis:
        """Returns the eigenbasis of one diagonal block."""
        return normal_eigenbasis(self.d_state // self.blocks)

    def is_symmetric(self) -> bool:
        """Whether one state of each conjugate pair is kept."""
        return self.conj_sym is not False

    def make(self, H: int, dropout: float, tie_dropout: bool, generator: torch.Generator) -> nn.Module:
        """Returns the layer."""
        ssm = S5(H, self.block(), self.blocks, replace(self, conj_sym=self.is_symmetric()), generator)
        return S5Block(ssm, self.activation, dropout, tie_dropout)


@dataclass(frozen=True, kw_only=True)
class S5PTDLayer(Perturbed, S5Layer):
    """S5 from perturbed blocks; `conj_sym: null` is true where E is real."""

    conj_sym: bool | None = False
    reflect: bool = False

    @property
    def n(self) -> int:
        return self.d_state // self.blocks

    def block(self) -> Eigenbasis:
        found = self.trained()
        return perturbed_eigenbasis(found.reflected() if self.reflect else found)  # rounds as runs of before did

    def is_symmetric(self) -> bool:
        return self.find().is_real if self.conj_sym is None else self.conj_sym


Layer = S4Layer | S5Layer | OwnLayer | OwnKernelLayer
LAYERS: dict[str, type[S4Layer | S5Layer]] = {
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
    if is_own(mapping):
        return _own_layer(mapping)
    rest = dict(mapping)
    name, kernel = rest.pop("_name_", None), rest.pop("kernel", None)
    if not isinstance(name, str):
        raise UserError(f"{WHERE}._name_ = {shown(name)}: expected a name{did_you_mean('', LAYERS)}")
    if name not in LAYERS:
        raise UserError(f"{WHERE}._name_: unknown layer '{name}'{did_you_mean(str(name), LAYERS)}")
    if issubclass(LAYERS[name], S4Layer) and "lr" in rest:
        rest["lr"] = _rates(rest["lr"])
    layer = build(LAYERS[name], rest, WHERE)
    return layer if kernel is None else _with_own_kernel(name, layer, kernel)


def _own_layer(mapping: Mapping[str, Any]) -> OwnLayer:
    if "_name_" in mapping:
        raise UserError(
            f"{WHERE} has the keys of {mapping['_name_']} and {TARGET}; start from `/model: own`, a layer without keys"
        )
    return OwnLayer(OwnCode.of(mapping, WHERE))


def _with_own_kernel(name: str, layer: S4Layer | S5Layer, kernel: Any) -> OwnKernelLayer:
    if not is_own(kernel):
        raise UserError(f"{KERNEL} = {shown(kernel)}: expected {KERNEL}.{TARGET}=my_module.MyKernel and its keywords")
    if isinstance(layer, Perturbed) or not isinstance(layer, S4Layer):
        raise UserError(
            f"{KERNEL}: a kernel of yours takes the place of S4's or S4D's, not of {name}'s; add `model/layer=s4d`"
        )
    return OwnKernelLayer(layer, OwnCode.of(kernel, KERNEL))


def _rates(lr: Any) -> tuple[float | None, ...]:
    values = lr.values() if isinstance(lr, Mapping) else [lr]
    for value in values:
        number = isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) <= LARGEST
        if value is not None and not number:
            raise UserError(f"{WHERE}.lr: {shown(value)} is not a number, null, or a mapping of dt, A, B to those")
    rates = learning_rates(lr)
    return tuple(rates[name] for name in RATES)
