"""Work over channels in blocks: on a CPU what one block needs stays in cache, on an accelerator the peak of memory stays bounded."""

import torch

# Passes over hundreds of megabytes cost far more than their launches, and a few such buffers fit on every card.
ACCELERATOR_BYTES = 1 << 29


def channel_blocks(H: int, bytes_per_channel: int, budget: int, device: torch.device) -> list[slice]:
    """Returns slices that cover H channels, each within `budget` bytes on a CPU and `ACCELERATOR_BYTES` elsewhere, but at least one.

    On an accelerator their number of channels is a power of two: blocks are alike (one FFT plan, one compiled kernel) and aligned.
    """
    if device.type == "cpu":
        size = max(1, budget // bytes_per_channel)
    else:
        size = min(H, 1 << max(1, ACCELERATOR_BYTES // bytes_per_channel).bit_length() - 1)
    return [slice(h, min(h + size, H)) for h in range(0, H, size)]
