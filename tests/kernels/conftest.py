"""Shared by the tests of kernels."""

import pytest
import torch

from tests.ops.conftest import poisoned

__all__ = ["poisoned"]


@pytest.fixture
def double():
    """Makes float64 the default, so that parameters hold it."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)
