"""What every form of the selective scan is given: shapes checked, one precision, one field."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class ScanArguments:
    """Shapes checked, one real dtype, and A, B, C, h0 all real or all complex.

    x: (b, L, D). dt: (b, L, D) or (D,). A: (D, N). B, C: (b, L, N) if selective, (D, N) if constant. D, dt_bias: (D,)
    or None. z: (b, L, D) or None. h0: (b, D, N).
    """

    x: Tensor
    dt: Tensor
    A: Tensor
    B: Tensor
    C: Tensor
    D: Tensor | None
    z: Tensor | None
    dt_bias: Tensor | None
    softplus: bool
    h0: Tensor

    def step_sizes(self) -> Tensor:
        """(b, L, D) or (D,)."""
        dt = self.dt if self.dt_bias is None else self.dt + self.dt_bias
        return torch.nn.functional.softplus(dt) if self.softplus else dt

    def finish(self, y: Tensor) -> Tensor:
        """Adds D x to what the states put out, y: (b, L, D), and applies the gate."""
        y = y if self.D is None else y + self.D * self.x
        return y if self.z is None else y * torch.nn.functional.silu(self.z)


def scan_arguments(x, dt, A, B, C, D, z, dt_bias, softplus, h0) -> ScanArguments:
    """Brings all tensors to one precision and one field, and checks their shapes."""
    tensors = [tensor for tensor in (x, dt, A, B, C, D, z, dt_bias, h0) if tensor is not None]
    real = torch.float64 if any(t.dtype in (torch.float64, torch.complex128) for t in tensors) else torch.float32
    field = real.to_complex() if any(t.is_complex() for t in (A, B, C) + (() if h0 is None else (h0,))) else real
    x, dt, D, z, dt_bias = (None if tensor is None else tensor.to(real) for tensor in (x, dt, D, z, dt_bias))
    A, B, C = (tensor.to(field) for tensor in (A, B, C))
    b, channels, N = x.shape[0], x.shape[-1], A.shape[-1]
    h0 = x.new_zeros(b, channels, N, dtype=field) if h0 is None else h0.to(field)
    constant, selective = (channels, N), (*x.shape[:2], N)
    allowed = {
        "x": (x, [(b, *x.shape[1:2], channels)] if x.ndim == 3 and x.shape[1] else []),
        "dt": (dt, [tuple(x.shape), (channels,)]),
        "A": (A, [constant]),
        "B": (B, [selective, constant]),
        "C": (C, [selective, constant]),
        "D": (D, [(channels,)]),
        "z": (z, [tuple(x.shape)]),
        "dt_bias": (dt_bias, [(channels,)]),
        "h0": (h0, [(b, channels, N)]),
    }
    for name, (tensor, shapes) in allowed.items():
        if tensor is not None and tuple(tensor.shape) not in shapes:
            expected = " or ".join(map(str, shapes)) or "(b, L, D) with L >= 1"
            raise ValueError(f"selective_scan: {name} has shape {tuple(tensor.shape)}, expected {expected}")
    return ScanArguments(x, dt, A, B, C, D, z, dt_bias, softplus, h0)
