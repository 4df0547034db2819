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


def papers_sizes():
    """Every mix; N counts as P2 counts, twice as many real states as complex ones."""
    for complex_field, mix in product([False, True], product([True, False], repeat=3)):
        scan(8, 384, 128, 8 if complex_field else 16, complex_field, mix)


def large_model():
    for complex_field in (False, True):
        scan(1, 16384, 1536, 8 if complex_field else 16, complex_field)


def plain():
    """Without gate, skip and softplus."""
    for complex_field in (False, True):
        scan(8, 384, 128, 8 if complex_field else 16, complex_field, softplus=False, gate=False)


def other_sizes():
    """States and channels that are no powers of two, and more states than a warp holds; double precision."""
    scan(2, 100, 33, 5, True)
    scan(2, 384, 40, 64, False)
    scan(2, 100, 20, 3, True, dtype=torch.float64)


CASES = [papers_sizes, large_model, plain, other_sizes]
