"""What work costs, in words that add up."""

import time

import pytest
import torch

from src import cost
from src.cost import Shorter, StepCost, cost_line, in_words, measure_step
from src.engine import classification
from src.engine.measure import training_cost
from src.engine.state import rng_state
from src.sweep import Run, RunFolder, survey
from src.sweep.script import say_cost
from tests.engine.small import CPU, data, network


@pytest.mark.parametrize(("seconds", "words"), [
    (0.02, "0.02 s"), (40, "40 s"), (25 * 60, "25 min"), (3.2 * 3600, "3.2 h"), (35 * 86400, "35 days"),
])  # fmt: skip
def test_times_in_words(seconds, words):
    assert in_words(seconds) == words


def test_the_line_adds_up():
    line = cost_line([StepCost(0.1, 2**30), StepCost(0.3, 2**31)], [1000, 3000], 2, Shorter("--epochs 1", 100))
    assert line == (
        "cost: 2 runs, 4,000 steps, 250 ms a step here: about 15 min (2 at a time); 2.0 GiB a run; --epochs 1: 30 s"
    )
    assert cost_line([StepCost(15.0)], [200_000]) == "cost: 200,000 steps, 15.0 s a step here: about 35 days"
    assert "at a time" not in cost_line([StepCost(1.0)], [5], 4)


def test_a_large_batch_is_measured_in_part(monkeypatch):
    sizes = []

    def step(size: int) -> None:
        sizes.append(size)
        time.sleep(0.01 + 0.002 * size)

    monkeypatch.setattr(cost, "_ENOUGH_SECONDS", 0.02)
    found = measure_step(step, 1000)
    assert max(sizes) <= 32
    assert 1.5 < found.seconds < 4.0
    assert 0.016 < measure_step(step, 3).seconds < 0.1


def test_measuring_changes_neither_the_model_nor_what_is_drawn_next():
    model, (x, y) = network(), data()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    state = repr(rng_state())
    found = training_cost(model, classification, lambda size: (x[:size], y[:size]), 32, CPU)
    assert found.seconds > 0
    assert found.memory > 2**20
    assert repr(rng_state()) == state
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert all(p.grad is None for p in model.parameters())


def test_runs_alike_are_measured_once_and_what_is_done_costs_nothing(tmp_path, capsys):
    runs = [Run("toy", {"size": size, "seed": seed}) for size in (1, 2) for seed in range(3)]
    with RunFolder(tmp_path, runs[0]).locked():
        folder = RunFolder(tmp_path, runs[0])
        folder.start({})
        folder.finish({})
    measured = []

    def step_cost(run: Run) -> StepCost:
        measured.append(run.config["size"])
        return StepCost(float(run.config["size"]))

    say_cost(survey(runs, tmp_path), lambda run: 10, step_cost, lambda run: run.config["size"], 1, None)
    assert measured == [1, 2]
    assert capsys.readouterr().out == "cost: 5 runs, 50 steps, 1.6 s a step here: about 80 s\n"


def test_what_cannot_be_measured_is_said_and_stops_nothing(tmp_path, capsys):
    def too_large(run: Run) -> StepCost:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory\nmore lines")

    say_cost(survey([Run("toy", {})], tmp_path), lambda run: 10, too_large, lambda run: 0, 1, None)
    said = capsys.readouterr().out
    assert (
        said == "cost: 1 runs, 10 steps; a step cannot be measured here (DefaultCPUAllocator: can't allocate memory)\n"
    )
