"""Repeated steps are the steps: losses, weights, averages and random draws as without a graph. On a CPU a tape stands in for the graph."""

import copy

import pytest
import torch

from src.engine import (
    Ema,
    Evaluation,
    Plan,
    TensorBatches,
    TrainState,
    classification,
    make_optimizer,
    make_schedule,
    parameter_groups,
)
from src.engine import loop as loop_module
from src.engine import step as step_module
from src.engine.graphs import LIMIT, WARM_UP, Graphs, check_capturable, shapes
from src.engine.optim import load_optimizer_state, make_capturable, optimizer_state
from src.errors import UserError
from tests.engine.ports import FileStore, fit
from tests.engine.small import CPU, data, network, without_times
from tests.engine.tape import TapeCapture

OPTIMIZERS = {"adamw": {}, "adam": {}, "sgd": {"momentum": 0.9}}


@pytest.fixture
def capture(monkeypatch):
    """Graphs are tapes."""
    made = TapeCapture()
    monkeypatch.setattr(step_module, "CudaCapture", lambda: made)
    monkeypatch.setattr(loop_module, "check_capturable", lambda *_: None)
    return made


def start(optimizer="adamw", schedule="constant", norm=True, **options) -> TrainState:
    """The fused form as on a GPU; 2^-7 is the same number in every precision."""
    model = network(norm=norm)
    groups = parameter_groups(model, 2**-7, 0.01)
    state = make_optimizer(optimizer, groups, fused=True, **OPTIMIZERS[optimizer])
    return TrainState(model, state, make_schedule(schedule, **options), Ema(model, 0.9))


def train(state: TrainState, graph: bool, source=None, **ports):
    """11 batches an epoch in groups of 2, 5 epochs: the last step of each epoch has one batch, and its own graph."""
    plan = Plan(
        max_epochs=5, accumulate_grad_batches=2, gradient_clip_val=1.0, log_every=5, save_steps=3, cuda_graph=graph
    )
    rows = []
    validation = Evaluation(TensorBatches(data(40, seed=1), 16), classification, CPU)
    result = fit(
        state,
        source or TensorBatches(data(), 8, seed=3),
        classification,
        plan,
        CPU,
        evaluators={"val": validation},
        log=lambda step, **row: rows.append({"step": step, **row}),
        say=lambda line: None,
        **ports,
    )
    return result, without_times(rows)


def same(a: TrainState, b: TrainState, rtol: float = 0.0) -> None:
    for name, tensor in (a.model.state_dict() | {f"ema.{k}": v for k, v in a.ema.state_dict().items()}).items():
        other = b.ema.state_dict()[name[4:]] if name.startswith("ema.") else b.model.state_dict()[name]
        torch.testing.assert_close(tensor, other, rtol=rtol, atol=rtol)


@pytest.mark.parametrize("optimizer", list(OPTIMIZERS))
def test_equals_the_steps_without_a_graph_bit_for_bit(capture, optimizer):
    plain = start(optimizer)
    expected = train(plain, False)
    graphed = start(optimizer)  # seeds again
    assert train(graphed, True) == expected
    same(plain, graphed)
    assert (capture.warmed, capture.captured, capture.replayed) == (2 * WARM_UP, 2, 30 - 2 * WARM_UP)


def test_rates_of_a_schedule_reach_the_graph(capture):
    # before a norm, biases have no gradient but rounding, which Adam makes large
    options = {"norm": False, "schedule": "cosine_warmup", "num_warmup_steps": 5, "num_training_steps": 30}
    plain = start(**options)
    _, expected = train(plain, False)
    graphed = start(**options)
    _, rows = train(graphed, True)
    assert [row.get("lr") for row in rows] == [row.get("lr") for row in expected]
    same(plain, graphed, rtol=1e-5)  # a rate on the device is a float32


@pytest.mark.parametrize(("first", "then"), [(True, False), (False, True), (True, True)])
def test_killed_and_resumed_with_or_without_a_graph(capture, tmp_path, first, then):
    class Killed(Exception):
        pass

    def kill(n_steps: int) -> None:
        if broken.step == 14:
            raise Killed

    whole = start()
    expected = train(whole, False)
    broken = start()
    with pytest.raises(Killed):
        train(broken, first, store=FileStore(tmp_path, "a"), advance=kill)
    resumed = start()
    result, _ = train(resumed, then, store=FileStore(tmp_path, "a"))
    assert result == expected[0]
    same(whole, resumed)


def test_a_loss_that_is_not_finite_is_seen_after_the_fact_with_its_step(capture):
    class Broken(TensorBatches):
        def iterate(self, epoch=0, start=0):
            for number, (x, y) in enumerate(super().iterate(epoch, start), start):
                yield (x * float("nan") if (epoch, number) == (2, 6) else x), y

    with pytest.raises(FloatingPointError, match=r"step 16: .*cuda_graph=false"):
        train(start(), True, Broken(data(), 8, seed=3))
    assert capture.replayed > 0


def test_shapes_beyond_the_limit_run_as_they_are():
    seen, capture = [], TapeCapture()
    graphs = Graphs(lambda batches: seen.append(len(batches[0])), capture)
    for n in range(1, LIMIT + 3):
        for _ in range(WARM_UP + 2):
            graphs([torch.zeros(n)])
    assert capture.captured == LIMIT
    assert capture.replayed == 2 * LIMIT
    assert seen.count(LIMIT + 1) == WARM_UP + 2  # run each time, never captured


def test_what_makes_another_graph():
    x = torch.zeros(3, 4)
    assert shapes([(x, None)]) == shapes([(x + 1, None)])
    for other in ([(x[:2], None)], [(x.double(), None)], [(x, x)], [(x, None)] * 2, [{"x": x}]):
        assert shapes(other) != shapes([(x, None)])


@pytest.mark.parametrize(
    ("device", "precision", "world", "message"),
    [
        ("cpu", "fp32", 1, "needs a CUDA device"),
        ("cuda", "fp16", 1, "precision fp16"),
        ("cuda", "bf16", 2, "one process"),
    ],
)
def test_what_cannot_be_a_graph_is_one_line(monkeypatch, device, precision, world, message):
    monkeypatch.setattr("src.engine.distributed.world_size", lambda: world)
    with pytest.raises(UserError, match=message) as caught:
        check_capturable(torch.device(device), precision)
    assert "\n" not in str(caught.value)


def test_a_cpu_refuses_before_it_trains():
    with pytest.raises(UserError, match="needs a CUDA device"):
        train(start(), True)


def test_the_state_of_one_form_loads_into_another():
    """Weights after one more step agree, and each optimizer computes on as it did."""
    x, y = data()

    def step(model, optimizer):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()

    model = network(dropout=0.0, norm=False)
    fused = make_optimizer("adamw", parameter_groups(model, 2**-7), fused=True)
    make_capturable(fused)
    for _ in range(3):
        step(model, fused)
    saved = copy.deepcopy(optimizer_state(fused))
    assert saved["param_groups"][0]["lr"] == 2**-7
    other = copy.deepcopy(model)
    plain = make_optimizer("adamw", parameter_groups(other, 1.0))
    load_optimizer_state(plain, saved)
    assert plain.param_groups[0]["fused"] is None
    assert plain.param_groups[0]["capturable"] is False
    step(model, fused)
    step(other, plain)
    for a, b in zip(model.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)
    load_optimizer_state(fused, optimizer_state(plain))
    assert fused.param_groups[0]["fused"] is True
    with pytest.raises(ValueError, match="zip"):
        load_optimizer_state(plain, {**saved, "param_groups": saved["param_groups"] * 2})


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_graphs_on_a_gpu_equal_the_steps_without(precision):
    device, ends = torch.device("cuda"), []
    for graph in (False, True):
        model = network().to(device)  # seeds again
        state = TrainState(model, make_optimizer("adamw", parameter_groups(model, 2**-7, 0.01)), ema=Ema(model, 0.9))
        plan = Plan(
            max_epochs=5, accumulate_grad_batches=2, gradient_clip_val=1.0, precision=precision, cuda_graph=graph
        )
        source = TensorBatches([tensor.to(device) for tensor in data()], 8, seed=3)
        result = fit(state, source, classification, plan, device, say=lambda line: None)
        ends.append((result.last["train/loss"], state))
    assert ends[0][0] == pytest.approx(ends[1][0], rel=1e-5)
    same(ends[0][1], ends[1][1], rtol=1e-4)
