"""S4's kernel, powers of diagonal plus low rank; `operation` says what it computes and in which forms."""

from src.ops.low_rank.operation import S4_KERNEL, LowRankSystem, dense_matrix, low_rank_kernel

__all__ = ["S4_KERNEL", "LowRankSystem", "dense_matrix", "low_rank_kernel"]
