"""The fused selective scan at P2's sizes and at those of a large model, for `compile_only`."""

from itertools import product

import torch

from src.ops.selective_scan import selective_scan


def scan(b, L, D, N, complex_field, mix=(True, True, True), softplus=True, gate=True, dtype=torch.float32):
    """Forward and backward; mix: is B, C, dt selective."""
    field = dtype.to_complex() if complex_field else dtype
    weight = lambda selective: torch.zeros(*((b, L) if selective else (D,)), N, dtype=field, requires_grad=True)
    x, z = (torch.zeros(b, L, D, dtype=dtype, requires_grad=True) for _ in range(2))
    dt = torch.zeros(*((b, L) if mix[2] else ()), D, dtype=dtype, requires_grad=True)
    A = torch.zeros(D, N, dtype=field, requires_grad=True)
    vector = torch.zeros(D, dtype=dtype, requires_grad=True) if gate else None
    out, state = selective_scan(
        x, dt, A, weight(mix[0]), weight(mix[1]), vector, z if gate else None, vector, softplus,
        return_state=True, backend="triton",
    )  # fmt: skip
    (out.sum() + state.real.sum()).backward()


MIXES = [
    (True, True, True),
    (True, False, False),
    (False, True, False),
    (False, False, True),
]  # every pair of choices is among them


def papers_sizes():
    """As P2 counts, twice as many real states as complex ones."""
    for complex_field, mix in [*product([True], MIXES), (False, MIXES[0]), (False, (False, False, False))]:
        scan(8, 384, 128, 8 if complex_field else 16, complex_field, mix)


def large_model():
    for complex_field in (False, True):
        scan(1, 16384, 1536, 8 if complex_field else 16, complex_field)


def plain():
    """Without gate, skip and softplus."""
    scan(8, 384, 128, 16, False, softplus=False, gate=False)


def other_sizes():
    """States and channels that are no powers of two; double precision."""
    scan(2, 384, 33, 5, True)
    scan(2, 384, 128, 16, False, dtype=torch.float64)


CASES = [papers_sizes, large_model, plain, other_sizes]
