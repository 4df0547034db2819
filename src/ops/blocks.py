"""How work is cut: channels in blocks that stay in cache on a CPU and bound the peak of memory on an accelerator, powers in two tables."""

import torch

# Passes over hundreds of megabytes cost far more than their launches, and a few such buffers fit on every card.
ACCELERATOR_BYTES = 1 << 29


def table_lengths(L: int) -> tuple[int, int]:
    """Returns (M, S) with M S >= L > (M - 1) S: S the power of two next to sqrt(L)."""
    S = 1 << (max(L - 1, 1).bit_length() // 2)
    return -(-L // S), S


def channel_blocks(H: int, bytes_per_channel: int, budget: int, device: torch.device) -> list[slice]:
    """Returns slices that cover H channels, each within `budget` bytes on a CPU and `ACCELERATOR_BYTES` elsewhere, but at least one.

    On an accelerator their number of channels is a power of two: blocks are alike (one FFT plan, one compiled kernel) and aligned.
    """
    if device.type == "cpu":
        size = max(1, budget // bytes_per_channel)
    else:
        size = min(H, 1 << max(1, ACCELERATOR_BYTES // bytes_per_channel).bit_length() - 1)
    return [slice(h, min(h + size, H)) for h in range(0, H, size)]
