"""An evaluation is the mean over samples, in evaluation mode, inside its context, and leaves the model as it was."""

import contextlib

import pytest
import torch
import torch.nn.functional as F

from src.engine import Evaluation, Plan, Tally, TensorBatches, classification, number_measures
from src.engine.plan import limited
from src.errors import UserError
from tests.engine.ports import fit
from tests.engine.small import CPU, data, network, start


def test_mean_over_samples_whatever_the_batches():
    model = network()
    x, y = data(37)
    for batch_size in (1, 5, 37, 100):
        metrics = Evaluation(TensorBatches((x, y), batch_size), classification, CPU)(model)
        logits = model.eval()(x)
        assert metrics["loss"] == pytest.approx(F.cross_entropy(logits, y).item(), rel=1e-6)
        assert metrics["accuracy"] == (logits.argmax(1) == y).double().mean().item()


@pytest.mark.parametrize("training", [True, False])
def test_mode_and_statistics_are_left_alone(training):
    model = network().train(training)
    mean = model[1].running_mean.clone()
    Evaluation(TensorBatches(data(), 16), classification, CPU)(model)
    assert model.training is training
    assert torch.equal(model[1].running_mean, mean)


def test_hooks_live_as_long_as_the_evaluation():
    model = network()
    x, y = data()

    @contextlib.contextmanager
    def flipped(net):
        assert not net.training
        handle = net[-1].register_forward_hook(lambda module, inputs, output: -output)
        yield
        handle.remove()

    clean = Evaluation(TensorBatches((x, y), 16), classification, CPU)
    noisy = Evaluation(TensorBatches((x, y), 16), classification, CPU, around=flipped)
    first = clean(model)
    assert noisy(model)["accuracy"] == pytest.approx(1 - first["accuracy"])
    assert clean(model) == first


def test_limit_takes_the_first_batches():
    model, (x, y) = network(), data(64)
    limited_to_two = Evaluation(TensorBatches((x, y), 16), classification, CPU, limit=2)(model)
    assert limited_to_two == Evaluation(TensorBatches((x[:32], y[:32]), 16), classification, CPU)(model)
    assert [limited(10, limit) for limit in (1.0, 1, 0.25, 0.01, 99)] == [10, 1, 2, 1, 10]
    for bad in (0, 0.0, 1.5, -1, True):
        with pytest.raises(UserError, match="limit of batches"):
            limited(10, bad)


class Counting:
    """A store that counts."""

    def __init__(self):
        self.steps = []

    def save_state(self, state):
        self.steps.append(state["step"])

    def load_state(self):
        return None

    def save_best(self, state):
        pass

    load_best = load_state


@pytest.mark.parametrize(("seconds", "steps"), [(0.0, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]), (1000.0, [10])])
def test_states_are_saved_by_the_clock_and_at_the_end(seconds, steps):
    store = Counting()
    plan = Plan(max_epochs=2, save_seconds=seconds)
    fit(
        start(network()),
        TensorBatches(data(), 16, seed=0),
        classification,
        plan,
        CPU,
        store=store,
        say=lambda line: None,
    )
    assert store.steps == steps


def test_measures_of_numbers_over_unequal_batches():
    generator = torch.Generator().manual_seed(0)
    y, prediction = torch.randn(7, generator=generator), torch.randn(7, 1, generator=generator)
    tally = Tally()
    for part in (slice(0, 5), slice(5, 7)):
        tally.add(number_measures(prediction[part], y[part], unit=3.0))
    error = (prediction[:, 0] - y).double()
    found = tally.means()
    assert found["loss"] == pytest.approx(float((error**2).mean()), rel=1e-5)
    assert found["mae"] == pytest.approx(3 * float(error.abs().mean()), rel=1e-5)
    assert found["r2"] == pytest.approx(1 - float((error**2).sum() / (y.double() ** 2).sum()), rel=1e-5)
