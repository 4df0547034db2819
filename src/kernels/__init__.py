"""Parameters in, convolution kernels out: one contract (`base.Kernel`) for S4, S4D, S4D-Real and S4-PTD."""

from ..lazy import attach

PLACES = {
    "base": ("DiscreteSystem", "Kernel"),
    "diagonal": ("DiagonalKernel",),
    "diagonal_system": ("DiagonalSystem",),
    "dplr": ("DPLRKernel",),
    "ptd": ("ptd_kernel",),
    "real_diagonal": ("RealDiagonalKernel",),
}
__getattr__, __all__ = attach(__name__, PLACES)
