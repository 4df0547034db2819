"""Parameters in, convolution kernels out: one contract (`base.Kernel`) for S4, S4D, S4D-Real and S4-PTD."""

from src.kernels.base import DiscreteSystem, Kernel
from src.kernels.diagonal import DiagonalKernel
from src.kernels.dplr import DPLRKernel
from src.kernels.ptd import ptd_kernel
from src.kernels.real_diagonal import RealDiagonalKernel

__all__ = ["DPLRKernel", "DiagonalKernel", "DiscreteSystem", "Kernel", "RealDiagonalKernel", "ptd_kernel"]
