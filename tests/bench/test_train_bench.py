"""The throughput table measures updates: every model's step changes every trained parameter."""

import pytest
import torch

from src.bench import limit as train_limit
from src.bench import train
from src.bench.limit import Work, limit
from src.ops.fftconv import fftconv


@pytest.mark.parametrize("name", train.SSMS)
def test_a_step_is_a_whole_update(name, monkeypatch):
    made = []
    classifier = train.Classifier
    monkeypatch.setattr(train, "Classifier", lambda *words: made.append(classifier(*words)) or made[-1])
    step = train.training_step(train.SSMS[name], 12)
    before = {key: value.detach().clone() for key, value in made[0].named_parameters()}
    step()
    assert all(not torch.equal(before[key], value) for key, value in made[0].named_parameters() if value.requires_grad)


def test_the_table_has_a_row_a_model(monkeypatch):
    monkeypatch.setattr(train, "training_step", lambda make, L: lambda: torch.ones(9) @ torch.ones(9, 1000))
    rows = train.rows(quick=True)
    assert [row["model"] for row in rows] == list(train.SSMS)
    monkeypatch.setattr(train, "rows_of_length", lambda L, repeats: [L, repeats])
    assert train.rows() == [1024, 5, 4096, 5, 16384, 5]


def test_the_limit_counts_products_transforms_and_what_is_kept():
    w = torch.randn(30, 20, requires_grad=True)
    K = torch.randn(5, 64, requires_grad=True)

    def step():
        (torch.randn(10, 30) @ w).square().sum().backward()
        fftconv(torch.randn(2, 5, 64), K, backend="torch").sum().backward()

    with Work() as work:
        step()
    shapes = sorted(tuple(operand[0] for operand in operands) for _, operands in work.products)
    assert shapes == [((10, 30), (30, 20)), ((30, 10), (10, 20))]
    assert work.products.total() == 2
    assert work.rows == {  # forward u, K and y; backward u, K, dy and two gradients
        (True, 128, torch.float32): 2 * (10 + 5) + 10,
        (False, 128, torch.complex64): 10 + 5 + 10,
    }
    with train_limit.plain_transforms(), Work() as plain:
        fftconv(torch.randn(2, 16, 64), torch.randn(16, 64), backend="compiled")
    assert plain.rows == {(True, 128, torch.float32): 48, (False, 128, torch.complex64): 32}
    found = limit(step, 1)
    assert all(part > 0 for part in found)
    assert found.total == sum(found)
