"""Blocks of channels cover all of them, within the budget of a CPU's cache or of an accelerator's memory."""

import pytest
import torch

from src.ops.blocks import ACCELERATOR_BYTES, channel_blocks

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


@pytest.mark.parametrize("device", [CPU, CUDA])
@pytest.mark.parametrize("H", [1, 7, 128, 200])
@pytest.mark.parametrize("share", [1000, 17, 3, 1, 0.1])
def test_blocks_cover_the_channels_within_the_budget(device, H, share):
    budget = 1 << 20
    each = int((budget if device == CPU else ACCELERATOR_BYTES) / share)
    blocks = channel_blocks(H, each, budget, device)
    assert [h for block in blocks for h in range(H)[block]] == list(range(H))
    assert all(block.stop - block.start <= max(1, share) for block in blocks)


def test_an_accelerator_gets_few_and_equal_blocks():
    assert channel_blocks(256, 1000, 1, CUDA) == [slice(0, 256)]
    blocks = channel_blocks(256, ACCELERATOR_BYTES // 25, 1, CUDA)
    assert {block.stop - block.start for block in blocks} == {16}
