"""The selective state-space scan of Mamba, real or complex; `operation` says what it computes and in which forms."""

from .operation import SELECTIVE_SCAN, selective_scan

__all__ = ["SELECTIVE_SCAN", "selective_scan"]
