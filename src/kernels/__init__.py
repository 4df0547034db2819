"""Parameters in, convolution kernels out: one contract (`base.Kernel`) for S4, S4D, S4D-Real and S4-PTD."""

from .base import DiscreteSystem, Kernel
from .diagonal import DiagonalKernel
from .diagonal_system import DiagonalSystem
from .dplr import DPLRKernel
from .ptd import ptd_kernel
from .real_diagonal import RealDiagonalKernel

__all__ = [
    "DPLRKernel",
    "DiagonalKernel",
    "DiagonalSystem",
    "DiscreteSystem",
    "Kernel",
    "RealDiagonalKernel",
    "ptd_kernel",
]
