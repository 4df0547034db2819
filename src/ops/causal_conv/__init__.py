"""Mamba's short causal convolution with SiLU; `operation` says what it computes and in which forms."""

from .operation import CAUSAL_CONV, causal_conv_silu

__all__ = ["CAUSAL_CONV", "causal_conv_silu"]
