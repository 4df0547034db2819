"""Kernels and states of diagonal systems, sums of exponentials; `operation` says what it computes and in which forms."""

from .operation import (
    LOG_VANDERMONDE,
    LOG_VANDERMONDE_TRANSPOSE,
    log_vandermonde,
    log_vandermonde_transpose,
)

__all__ = ["LOG_VANDERMONDE", "LOG_VANDERMONDE_TRANSPOSE", "log_vandermonde", "log_vandermonde_transpose"]
