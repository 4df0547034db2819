"""Linear recurrence h_t = a_t h_{t-1} + b_t over a sequence; `operation` says what it computes and in which forms."""

from .operation import SCAN, scan

__all__ = ["SCAN", "scan"]
