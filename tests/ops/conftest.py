"""Shared by the tests of operations and kernels."""

import pytest
import torch


@pytest.fixture
def poisoned():
    """Fills what `torch.empty` returns with NaN, so that an entry nobody wrote is seen."""
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)
