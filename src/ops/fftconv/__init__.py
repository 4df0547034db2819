"""Convolution of every channel by the FFT; `operation` says what it computes and in which forms."""

from .operation import FFTCONV, fftconv

__all__ = ["FFTCONV", "fftconv"]
