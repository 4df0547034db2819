"""The throughput table measures updates: every model's step changes every trained parameter."""

import pytest
import torch

from src.bench import train


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
    monkeypatch.setattr(train, "training_step", lambda make, L: lambda: sum(range(1000)))
    rows = train.rows(quick=True)
    assert [row["model"] for row in rows] == list(train.SSMS)
    assert len(train.rows()) == 2 * len(train.SSMS)
