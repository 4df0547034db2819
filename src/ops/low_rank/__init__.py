"""S4's kernel, powers of diagonal plus low rank; `operation` says what it computes and in which forms."""

from .operation import S4_KERNEL, low_rank_kernel
from .system import LowRankSystem, dense_matrix

__all__ = ["S4_KERNEL", "LowRankSystem", "dense_matrix", "low_rank_kernel"]
