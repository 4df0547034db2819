"""Lengths of transforms that are fast."""

import torch
from scipy.fft import next_fast_len


def fft_length(L: int, device: torch.device) -> int:
    """Returns a length of 2 L or more whose transform is fast on a device.

    A CPU takes many factors 3 and 5 without harm. cuFFT has kernels for the radices 2, 3, 5 and 7 and is best at powers of two, so
    a GPU takes a power of two times 1, 9/8, 5/4, 3/2 or 7/4: at most a fifth too long. 15/8 would spare 7 % of a power of two.
    """
    if device.type == "cpu":
        return next_fast_len(2 * L, real=True)
    power = 1 << (2 * L - 1).bit_length()
    return min(n for n in (power * part // 16 for part in (9, 10, 12, 14, 16)) if n >= 2 * L and n % 2 == 0)
