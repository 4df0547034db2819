"""The theory experiment's kernel at the sizes of P2's tables, and the largest that `fits` lets pass in float64."""

import torch

from src.theory.config import TheoryConfig
from src.theory.fit import FIT
from src.theory.state import FitState

SIZES = [  # N, L, complex, precision
    (1024, 32, False, "float32"),
    *((N, N, True, "float32") for N in (32, 64, 128, 256)),
    (512, 32, False, "float64"),
    (256, 256, True, "float64"),
]


def train(N: int, L: int, complex_option: bool, dtype: str, zero_grad: bool = False) -> None:
    """Gradients that add up need the most registers."""
    config = TheoryConfig(N, complex_option, L, "random", dtype=dtype, zero_grad=zero_grad)
    FIT.forms["triton"]([config], [FitState.start(config)], torch.device("cpu")).advance(3)


CASES = [
    *(lambda size=size: train(*size) for size in SIZES),
    *(lambda size=size: train(*size, zero_grad=True) for size in (SIZES[0], SIZES[4])),
]
