"""S5: one time-invariant SSM from H inputs to H outputs through P shared diagonal states (arXiv 2208.04933, Section 3).

    x_t = Abar x_{t-1} + Bbar u_t,    y_t = Re(C x_t) + D u_t,    Abar = exp(dt Lambda),  Bbar = (Abar - 1) / Lambda B

with a step dt for each state. P = J m: J blocks, each starting from the same eigenbasis (`s5_init`). On a CPU the two
products with B and C, each one real matrix product, cost far more than the scan between them.

A bidirectional layer adds C2 x'_t, where x' runs backwards and sees u_t as well (S5's convention; S4's second half
starts one step later).

The published JAX code differs in two places: its GELU is the tanh approximation where ours is exact (they differ by up to
5e-4), and its layer norm adds 1e-6 to the variance where torch's norms add 1e-5.
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from ..errors import UserError, did_you_mean
from ..kernels.diagonal_system import check_discretisation
from ..kernels.parameters import complex128, draw_dt, dt_of, pairs, register
from ..ops.discretise import DISCRETISATIONS, discretise
from ..ops.precision import full_precision
from ..ops.scan import scan
from .contract import NO_STEP
from .mixer import Mixer
from .padding import last_valid, zero_padding
from .s5_init import Eigenbasis, conjugate_half, draw_B, draw_C

# S5's opt_config: which parameters learn at the SSM's own rate, and which of those decay; the others are global.
OPT_CONFIGS: dict[str, tuple[set[str], set[str]]] = {
    "standard": ({"Lambda", "B", "dt"}, set()),
    "BandCdecay": ({"Lambda", "B", "dt"}, {"B"}),
    "BfastandCdecay": ({"Lambda", "dt"}, set()),
    "noBCdecay": ({"Lambda", "B", "C", "D", "dt"}, set()),
}


@dataclass(frozen=True)
class S5Options:
    """What the published S5 runs vary.

    Attributes:
        conj_sym: keep one state of each conjugate pair (P halves).
        disc: 'zoh' or 'bilinear'.
        dt_min, dt_max: range of the log-uniform draw of dt, one per state.
        B_init, C_init: see `s5_init`.
        bidirectional: see above.
        poles: 'free'; 'clip', Re Lambda <= -1e-4 (S5's clip_eigs); 'reflect', -|Re Lambda| (S5-PTD's force_neg).
        opt_config: a name in `OPT_CONFIGS`.
        lr: learning rate of the SSM's own parameters; None is the global one.
        dt_global: dt learns at the global rate, with decay, as S5's dt_global does.
    """

    conj_sym: bool = True
    disc: str = "zoh"
    dt_min: float = 0.001
    dt_max: float = 0.1
    B_init: str = "lecun_normal"
    C_init: str = "trunc_standard_normal"
    bidirectional: bool = False
    poles: Literal["free", "clip", "reflect"] = "free"
    opt_config: str = "standard"
    lr: float | None = 0.001
    dt_global: bool = False


def parameter_groups(
    opt_config: str, ssm_lr: float | None, dt_global: bool = False
) -> dict[str, dict[str, float | None]]:
    """Returns {parameter: {lr, weight_decay}} for Lambda, B, C, D and dt, where None is the global value.

    S5's lists also say 'norm', but match leaf names ('scale', 'bias'): its norms stay global, as here.

    Raises:
        UserError: unknown opt_config.
    """
    if opt_config not in OPT_CONFIGS:
        raise UserError(f"unknown opt_config '{opt_config}'{did_you_mean(opt_config, OPT_CONFIGS)}")
    own, decayed = OPT_CONFIGS[opt_config]
    own = own - {"dt"} if dt_global else own
    return {
        name: {
            "lr": ssm_lr if name in own else None,
            "weight_decay": None if name in decayed or name not in own else 0.0,
        }
        for name in ("Lambda", "B", "C", "D", "dt")
    }


class S5System(NamedTuple):
    """One time step; complex. K directions: 1, or 2 if bidirectional."""

    A: Tensor  # (P,)
    B: Tensor  # (P, H)
    C: Tensor  # (K, H, P), with the 2 of conjugate pairs


class S5(nn.Module):
    """The SSM itself.

    Args:
        H: number of channels.
        block: eigenbasis of one block, in full; see `normal_eigenbasis` and `perturbed_eigenbasis`.
        blocks: number of blocks J.
        options: see `S5Options`.
        generator: source of random draws; None is torch's global one.
    """

    def __init__(
        self,
        H: int,
        block: Eigenbasis,
        blocks: int = 1,
        options: S5Options | None = None,
        generator: torch.Generator | None = None,
    ):
        super().__init__()
        self.options = options = options or S5Options()
        check_discretisation(options.disc, DISCRETISATIONS)
        if options.poles not in ("free", "clip", "reflect"):
            raise UserError(
                f"unknown poles '{options.poles}'{did_you_mean(options.poles, ('free', 'clip', 'reflect'))}"
            )
        block = conjugate_half(block) if options.conj_sym else block
        self.H, self.P = H, blocks * len(block.Lambda)
        groups = parameter_groups(options.opt_config, options.lr, options.dt_global)
        Lambda = torch.from_numpy(block.Lambda).repeat(blocks)
        B = draw_B(options.B_init, block, blocks, H, generator)
        directions = 2 if options.bidirectional else 1
        C = torch.stack([draw_C(options.C_init, block, blocks, H, generator) for _ in range(directions)])
        register(self, "Lambda_re", Lambda.real, **groups["Lambda"])
        register(self, "Lambda_im", Lambda.imag, **groups["Lambda"])
        register(self, "B", pairs(B), **groups["B"])
        register(self, "C", pairs(C), **groups["C"])
        register(self, "D", torch.randn(H, generator=generator), **groups["D"])
        register(self, "log_dt", draw_dt(self.P, options.dt_min, options.dt_max, "exp", generator), **groups["dt"])
        weight = torch.from_numpy(block.weight).repeat(blocks).to(torch.get_default_dtype())
        self.register_buffer("weight", weight, persistent=False)

    @property
    def Lambda(self) -> Tensor:
        """Poles of the continuous system, (P,), complex128."""
        re = self.Lambda_re.double()
        if self.options.poles == "clip":
            re = re.clamp(max=-1e-4)
        elif self.options.poles == "reflect":
            re = -re.abs()
        return torch.complex(re, self.Lambda_im.double())

    def discrete(self) -> S5System:
        """Returns the matrices of one step, computed in float64 and rounded once."""
        z, gain = discretise(self.Lambda[:, None], dt_of(self.log_dt, "exp"), self.options.disc)
        system = z[:, 0].exp(), gain * complex128(self.B), complex128(self.C) * self.weight.double()
        return S5System(*(x.to(self._complex) for x in system))

    @property
    def _complex(self) -> torch.dtype:
        return torch.complex128 if self.C.dtype == torch.float64 else torch.complex64

    def extra_repr(self) -> str:
        return f"H={self.H}, P={self.P}, {self.options}"

    def forward(
        self, x: Tensor, state: Tensor | None = None, lengths: Tensor | None = None, return_state: bool = False
    ) -> Tensor | tuple[Tensor, Tensor]:
        """x: (B, L, H). Returns y (B, L, H) and, if asked for, the state (B, P) after each sequence's last valid step.

        Raises:
            ValueError: a state is given to, or wanted from, a bidirectional layer.
        """
        if state is not None or return_state:
            self._check_causal()
        with full_precision(x):
            system = self.discrete()
            u = zero_padding(x, lengths).to(self.C.dtype)
            driven = apply_B(system.B, u)
            states = scan(system.A, driven, state)
            y = apply_C(system.C[0], states) + self.D * u
            if self.options.bidirectional:
                y = y + apply_C(system.C[1], scan(system.A, driven, reverse=True))
        return (y, last_valid(states, lengths)) if return_state else y

    def step(self, x: Tensor, state: Tensor, system: S5System | None = None) -> tuple[Tensor, Tensor]:
        """One time step: x (B, H), state (B, P). Returns y (B, H) and the next state."""
        self._check_causal()
        with full_precision(x):
            system = system or self.discrete()
            u = x.to(self.C.dtype)
            state = system.A * state + apply_B(system.B, u)
            return apply_C(system.C[0], state) + self.D * u, state

    def default_state(self, *batch: int) -> Tensor:
        """Returns the zero state, (*batch, P), complex."""
        self._check_causal()
        return torch.zeros(*batch, self.P, dtype=self._complex, device=self.C.device)

    def _check_causal(self) -> None:
        if self.options.bidirectional:
            raise ValueError(NO_STEP)


def apply_B(B: Tensor, u: Tensor) -> Tensor:
    """Returns B u, (..., P) complex, as one real product: B (P, H) complex, u (..., H) real."""
    columns = torch.view_as_real(B.mT).flatten(-2)  # (H, 2 P)
    return torch.view_as_complex((u @ columns).unflatten(-1, (-1, 2)))


def apply_C(C: Tensor, x: Tensor) -> Tensor:
    """Returns Re(C x), (..., H) real, as one real product: C (H, P) complex, x (..., P) complex."""
    rows = torch.view_as_real(C.conj().resolve_conj()).flatten(-2)  # (H, 2 P): Re(c x) = Re c Re x - Im c Im x
    return torch.view_as_real(x).flatten(-2) @ rows.mT


GATES = {"full_glu": "glu", "half_glu1": "half_glu1", "half_glu2": "half_glu2", "gelu": None}  # S5's name: `Mixer`'s


class S5Block(nn.Module):
    """S5 with what follows it in its published layer: gelu and a gate.

    Args:
        ssm: the SSM.
        activation: 'full_glu', 'half_glu1', 'half_glu2' or 'gelu'; see `mixer`.
        dropout, tie_dropout: S5 ties its masks over time.
    """

    def __init__(self, ssm: S5, activation: str = "half_glu2", dropout: float = 0.0, tie_dropout: bool = True):
        super().__init__()
        if activation not in GATES:
            raise UserError(f"unknown activation '{activation}' of S5{did_you_mean(activation, GATES)}")
        self.ssm = ssm
        self.mixer = Mixer(ssm.H, ssm.H, "gelu", GATES[activation], dropout, tie_dropout)

    def forward(
        self, x: Tensor, state: Tensor | None = None, lengths: Tensor | None = None, return_state: bool = False
    ) -> Tensor | tuple[Tensor, Tensor]:
        """x: (B, L, H). Returns y, or (y, state)."""
        y = self.ssm(x, state, lengths, return_state)
        return (self.mixer(y[0]), y[1]) if return_state else self.mixer(y)

    def step(self, x: Tensor, state: Tensor, system: S5System | None = None) -> tuple[Tensor, Tensor]:
        """One time step: x (B, H), state (B, P)."""
        y, state = self.ssm.step(x, state, system)
        return self.mixer(y), state

    def discrete(self) -> S5System:
        """Returns the matrices of one step."""
        self.ssm._check_causal()
        return self.ssm.discrete()

    def default_state(self, *batch: int) -> Tensor:
        """Returns the zero state, (*batch, P)."""
        return self.ssm.default_state(*batch)
