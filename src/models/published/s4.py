"""S4 and S4D: a block's published weights as an `S4Block`."""

from typing import NamedTuple

import torch
from torch import Tensor

from ...kernels import DiagonalKernel, DPLRKernel, Kernel, RealDiagonalKernel
from ...layers import S4Block
from .names import Weights, check_names, converted, fill


class Format(NamedTuple):
    """One published layout.

    Attributes:
        names: published -> ours.
        optional: published names that may be missing.
    """

    names: dict[str, str]
    optional: frozenset[str] = frozenset()

    def unlike(self, weights: Weights) -> int:
        """Returns how many names differ, by which the nearest format is found."""
        return len(set(self.names) - set(weights) - self.optional) + len(set(weights) - set(self.names))


_MIX = {"output_linear.0.weight": "mixer.linear.weight", "output_linear.0.bias": "mixer.linear.bias"}
_S4D = {
    "layer.D": "D",
    **{f"layer.kernel.{name}": f"kernel.{name}" for name in ("inv_dt", "A_real", "A_imag", "B", "C")},
    **_MIX,
}
S4_FORMATS = {
    "S4 (models/s4/s4.py, mode dplr; state-spaces v4)": Format(
        {**_S4D, "layer.kernel.P": "kernel.P", "layer.kernel.l_kernel": "-"}, frozenset(_MIX)
    ),
    "S4D (models/s4/s4.py, mode diag; state-spaces v4)": Format(_S4D, frozenset({*_MIX, "layer.kernel.A_imag"})),
    "S4D (models/s4/s4d.py)": Format(
        {
            "D": "D",
            "kernel.log_dt": "kernel.inv_dt",
            "kernel.log_A_real": "kernel.A_real",
            "kernel.A_imag": "kernel.A_imag",
            "kernel.C": "kernel.C",
            **_MIX,
        }
    ),
    "S4 (state-spaces v3)": Format(
        {
            "D": "D",
            "kernel.kernel.log_dt": "kernel.inv_dt",
            "kernel.kernel.inv_w_real": "kernel.A_real",
            "kernel.kernel.w_imag": "kernel.A_imag",
            **{f"kernel.kernel.{name}": f"kernel.{name}" for name in ("B", "C", "P")},
            "kernel.kernel.L": "-",
            **_MIX,
        },
        frozenset(_MIX),
    ),
}
LENGTHS = ("layer.kernel.l_kernel", "kernel.kernel.L")  # L where C is stored as C (1 - Abar^L)


def s4_block(weights: Weights, dt_transform: str, disc: str | None, activation: str | None) -> S4Block:
    """Returns the block of a layer's state dict; the arguments are those of `load_published`.

    Raises:
        UserError: missing, unexpected or misshapen weights.
    """
    name, format = min(S4_FORMATS.items(), key=lambda item: item[1].unlike(weights))
    check_names(name, weights, format.names, format.optional)
    length = next((int(weights[key]) for key in LENGTHS if key in weights), 0)
    values = {
        ours: converted(key, weights[key]) for key, ours in format.names.items() if key in weights and ours != "-"
    }
    D = values["D"] = values["D"].reshape(-1, values["D"].shape[-1])
    kernel = _kernel(values, dt_transform, disc)
    both = kernel.channels == 2 * len(D)
    final = _final_act(values.get("mixer.linear.weight"), kernel.H)
    block = S4Block(kernel, bidirectional=both, activation=activation, final_act=final)
    fill(block, values)
    if length:
        with torch.no_grad():
            _undo_truncation(kernel, length)
    return block


def _kernel(values: dict[str, Tensor], dt_transform: str, disc: str | None) -> Kernel:
    """The kernel of the weights' sizes; `values` are completed where a format has a tensor fixed."""
    A, C = values["kernel.A_real"], values["kernel.C"]
    options = {"channels": len(C), "n_ssm": len(A), "dt_transform": dt_transform}
    H, N = C.shape[1], A.shape[-1]
    if "kernel.A_imag" not in values:
        values["kernel.C"] = 2 * C  # the published real kernel is twice the real part, too
        return RealDiagonalKernel(H, N, disc=disc or "zoh", **options)
    if "kernel.P" in values:
        return DPLRKernel(H, 2 * N, rank=len(values["kernel.P"]), disc=disc or "bilinear", **options)
    values.setdefault("kernel.B", torch.stack([torch.ones_like(A), torch.zeros_like(A)], -1))
    return DiagonalKernel(H, 2 * N, init="diag-lin", disc=disc or "zoh", **options)


def _final_act(weight: Tensor | None, H: int) -> str | None:
    if weight is None:
        return None
    return "glu" if len(weight) == 2 * H else "id"


def _undo_truncation(kernel: DPLRKernel, L: int) -> None:
    """C~ = C (1 - Abar^L), in which the published kernel is stored, back to C: exact, in float64."""
    A, _, rows = kernel._matrices(1.0)  # (H, n, n), (H, C, n) in real coordinates: 2 (Re c, -Im c)
    power = torch.linalg.matrix_power(A, L)
    rows = torch.linalg.solve(torch.eye(A.shape[-1], dtype=A.dtype) - power, rows, left=False)
    re, im = rows.transpose(0, 1).chunk(2, -1)
    kernel.C.copy_(torch.stack([re, -im], -1) / 2)
