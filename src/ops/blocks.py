"""Work over channels in blocks: on a CPU what one block needs stays in cache, and its temporaries are reused memory."""

import torch


def channel_blocks(H: int, bytes_per_channel: int, budget: int, device: torch.device) -> list[slice]:
    """Returns slices that cover H channels: within `budget` bytes each on the CPU, a single one on an accelerator."""
    size = max(1, budget // bytes_per_channel) if device.type == "cpu" else H
    return [slice(h, min(h + size, H)) for h in range(0, H, size)]
