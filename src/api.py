"""The public names of this package; `import ssm_experiments` (in the repository: `import src`) loads them when they are first used.

Layers are `torch.nn.Module`s from (B, L, H) to (B, L, H), batch first and channels last, with one signature:

    forward(x, state=None, lengths=None, return_state=False)   y, or (y, state)
    step(x_t, state, system=None)                              (y_t, state): one time step, x_t (B, H)
    default_state(*batch)                                      the state before the first step
    discrete()                                                 the matrices of one step, to keep and pass to `step`

B batch, L length, H = d_model channels; `lengths` (B,) whole numbers: steps at and beyond a sequence's length are padding. A bidirectional
layer has no state and no step (ValueError). Parameters are real tensors tagged with their own learning rate and weight decay;
`parameter_groups` makes an optimizer's groups of them. Wrong values raise UserError. Whatever is not listed here is internal.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from .errors import UserError
from .kernels import DiagonalKernel, DiagonalSystem, DPLRKernel, Kernel, RealDiagonalKernel, ptd_kernel
from .layers import S5 as _S5
from .layers import S4Block, S5Block, S5Options
from .layers.contract import check_layer
from .layers.mamba import MambaBlock, SSMType, mamba_block
from .layers.s5_init import normal_eigenbasis, perturbed_eigenbasis
from .linalg.ptd import Perturbation, Spec, default_size, named_perturbation, solve_cached
from .linalg.ptd import load_perturbation as _load
from .models.published import load_published
from .ops.fftconv import fftconv
from .ops.scan import scan
from .ops.selective_scan import selective_scan

__all__ = [
    "S4", "S4D", "S4PTD", "S5", "DPLRKernel", "DiagonalKernel", "DiagonalSystem", "Kernel", "Mamba", "Perturbation", "RealDiagonalKernel",
    "S4DReal", "UserError", "check_layer", "fftconv", "load_perturbation", "load_published", "load_trained", "parameter_groups",
    "ptd_kernel", "scan", "selective_scan", "solve_ptd",
]  # fmt: skip


class _TimeInvariant(S4Block):
    """An S4 block that makes its own kernel; `_kernel` of a subclass says which."""

    def __init__(
        self,
        d_model: int,
        d_state: int = 64,
        *,
        bidirectional: bool = False,
        dropout: float = 0.0,
        activation: str | None = "gelu",
        final_act: str | None = "glu",
        dt_min: float = 0.001,
        dt_max: float = 0.1,
        lr: float | Mapping[str, float | None] | None = 0.001,
        n_ssm: int | None = None,
        **own: Any,
    ):
        channels = 2 if bidirectional else 1
        kernel = self._kernel(
            d_model, d_state, channels=channels, dt_min=dt_min, dt_max=dt_max, lr=lr, n_ssm=n_ssm, **own
        )
        super().__init__(
            kernel, bidirectional=bidirectional, activation=activation, final_act=final_act, dropout=dropout
        )

    @staticmethod
    def _kernel(H: int, N: int, **options: Any) -> Kernel:
        raise NotImplementedError


class S4(_TimeInvariant):
    """S4: diagonal plus low rank (arXiv 2111.00396).

    Args:
        d_model: channels H.
        d_state: states of a channel; 64 are 32 conjugate pairs.
        bidirectional: see the past and the future.
        dropout, activation, final_act: of the position-wise map behind the SSM.
        dt_min, dt_max: range of the log-uniform draw of the step, one a channel.
        lr: learning rate of dt, A and B (None: the global one; 0 freezes), or a mapping of dt, A, B, C.
        n_ssm: different (A, B) that the channels share; None is one a channel.
        init, disc: as in the configs ('legs', 'legt', 'fourier'; 'bilinear', 'zoh').
    """

    _kernel = staticmethod(DPLRKernel)


class S4D(_TimeInvariant):
    """S4D: diagonal, complex (arXiv 2206.11893). Arguments as `S4`; init 'diag-lin', 'diag-inv', 'diag-legs'."""

    _kernel = staticmethod(DiagonalKernel)


class S4DReal(_TimeInvariant):
    """S4D over the reals: `d_state` real states (arXiv 2410.14067). Arguments as `S4`."""

    _kernel = staticmethod(RealDiagonalKernel)


class S4PTD(_TimeInvariant):
    """S4-PTD: HiPPO perturbed, then diagonalised (arXiv 2310.01698).

    Arguments as `S4`, and `perturbation`: what `solve_ptd` or `load_perturbation` returned, or None for the one that comes with the
    package (n = 8, 16, 32, 64, 128) or is solved at its size. `d_state` is its order n.
    """

    @staticmethod
    def _kernel(H: int, N: int, perturbation: Perturbation | None = None, **options: Any) -> Kernel:
        found = named_perturbation(None, N, None) if perturbation is None else perturbation
        if len(found.Lambda) != N:
            raise UserError(
                f"d_state = {N}, but the perturbation has n = {len(found.Lambda)}; pass d_state={len(found.Lambda)}"
            )
        return ptd_kernel(found, H, **options)


class S5(S5Block):
    """S5: one SSM with H inputs and outputs and P shared diagonal states (arXiv 2208.04933).

    Args:
        d_model: channels H.
        d_state: states P, in `blocks` blocks.
        bidirectional, dropout, dt_min, dt_max: as `S4`.
        activation: 'half_glu1', 'half_glu2', 'full_glu' or 'gelu'.
        lr: learning rate of the SSM's own parameters; None is the global one.
        perturbation: of order d_state / blocks: S5-PTD; None starts from the normal part of HiPPO.
        own: further fields of the internal `S5Options`.
    """

    def __init__(
        self,
        d_model: int,
        d_state: int = 64,
        *,
        blocks: int = 1,
        bidirectional: bool = False,
        dropout: float = 0.0,
        activation: str = "half_glu2",
        dt_min: float = 0.001,
        dt_max: float = 0.1,
        lr: float | None = 0.001,
        perturbation: Perturbation | None = None,
        **own: Any,
    ):
        if d_state < 1 or blocks < 1 or d_state % blocks:
            raise UserError(f"blocks = {blocks} must divide d_state = {d_state}")
        n = d_state // blocks
        block = normal_eigenbasis(n) if perturbation is None else perturbed_eigenbasis(perturbation)
        if len(block.Lambda) != n:
            raise UserError(f"d_state / blocks = {n}, but the perturbation has n = {len(block.Lambda)}")
        options = S5Options(dt_min=dt_min, dt_max=dt_max, bidirectional=bidirectional, lr=lr, **own)
        super().__init__(_S5(d_model, block, blocks, options), activation, dropout)


class Mamba(MambaBlock):
    """The Mamba block with a real or complex selective SSM (arXiv 2312.00752; 2410.14067).

    Args:
        d_model: channels H; the SSM inside has D = expand * H.
        d_state: real degrees of freedom of a channel's state: 16 real or 8 complex states.
        over_complex: A, B and C complex.
        expand, d_conv: as in Mamba.
    """

    def __init__(
        self, d_model: int, d_state: int = 16, *, over_complex: bool = False, expand: int = 2, d_conv: int = 4
    ):
        kind = SSMType.S6_COMPLEX if over_complex else SSMType.S6_REAL
        made = mamba_block(d_model, kind, d_state=d_state, expand=expand, d_conv=d_conv)
        super().__init__(d_model, made.ssm, made.D, d_conv)


def load_perturbation(path: str | Path | None = None, n: int | None = None) -> Perturbation:
    """Returns a perturbation of HiPPO-LegS: of a `.mat` or `.npz` file in either published layout, or by its order n the one shipped.

    Raises:
        UserError: no such file, not a perturbation, or of another order than n.
    """
    if path is not None:
        found = _load(path, n)
    elif n is None:
        raise UserError("load_perturbation: expected a path or an order n")
    else:
        found = named_perturbation(None, n)
    return found


def load_trained(folder: str | Path, weights: str = "best", trust: bool = False) -> nn.Module:
    """Returns the model of a finished run of `train.py`, on the CPU and in evaluation mode; its data need not be there.

    Args:
        folder: `runs/train-<experiment>/<key>`.
        weights: 'best' in validation, or 'last'.
        trust: run a layer, kernel or task of your own that the folder names: that is code, and a folder may come from anywhere.

    Raises:
        UserError: no such run, no such weights of it, or own code that is not trusted.
    """
    from .experiments.classify.trained import load_trained as load

    return load(folder, weights, trust)


def solve_ptd(n: int, size: float | None = None) -> Perturbation:
    """Returns E, small, with A_H + E well-conditioned, stable and close to S4 (P1, Section 4.2), from the cache if solved before.

    Args:
        n: order of HiPPO-LegS.
        size: ||E||_2 / ||A_H||_2; None is the published one, or what lies between the published ones.
    """
    return solve_cached(Spec(n=n, size=size or default_size(n)))


def parameter_groups(model: nn.Module, lr: float, weight_decay: float = 0.0) -> list[dict[str, Any]]:
    """Returns the groups to give to a torch optimizer: SSM parameters at their own rate without decay, the others at `lr`.

    Biases, embeddings and normalisation weights do not decay either. Works for any model that holds these layers.
    """
    from .engine.optim import parameter_groups as groups_of

    return [
        {"params": list(group.parameters.values()), "lr": group.lr, "weight_decay": group.weight_decay}
        for group in groups_of(model, lr, weight_decay)
    ]
