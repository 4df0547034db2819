"""What a step computes, and what an epoch does: against a loop written out in a few lines."""

import copy
import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from src.engine import (
    Best,
    Evaluation,
    GeneratedBatches,
    MemoryStore,
    Plan,
    Ratio,
    TensorBatches,
    classification,
    make_schedule,
)
from src.engine.batches import training_order
from src.engine.weights import Ema
from src.errors import UserError
from tests.engine.ports import fit
from tests.engine.small import CPU, data, network, start


def run(state, train, plan, objective=classification, **ports):
    return fit(state, train, objective, plan, CPU, say=lambda line: None, **ports)


def same(a: nn.Module, b: nn.Module) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True))


def test_equals_the_loop_written_out():
    """AdamW on clipped mean cross-entropy over shuffled batches, with a schedule a step."""
    x, y = data()
    plain = network(
        dropout=0.0, norm=False
    )  # before a norm, biases have no gradient but rounding, which Adam makes large
    state = start(copy.deepcopy(plain), schedule="cosine_warmup", num_warmup_steps=3, num_training_steps=20)
    run(state, TensorBatches((x, y), 16, seed=7), Plan(max_epochs=3, gradient_clip_val=0.3))

    decayed = [p for name, p in plain.named_parameters() if name in ("0.weight", "3.weight")]
    rest = [p for name, p in plain.named_parameters() if name not in ("0.weight", "3.weight")]
    optimizer = torch.optim.AdamW([{"params": decayed, "weight_decay": 0.01}, {"params": rest, "weight_decay": 0.0}])
    schedule = make_schedule("cosine_warmup", num_warmup_steps=3, num_training_steps=20)
    step = 0
    for epoch in range(3):
        for rows in training_order(90, 16, 7, epoch):
            for group in optimizer.param_groups:
                group["lr"] = schedule.rate(0.01, step)
            optimizer.zero_grad()
            F.cross_entropy(plain(x[rows]), y[rows]).backward()
            nn.utils.clip_grad_norm_(plain.parameters(), 0.3)
            optimizer.step()
            step += 1
    assert state.step == step == 15
    for a, b in zip(state.model.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)


def masked_loss(model, batch):
    """A loss over unequal numbers of targets a batch."""
    x, y = batch
    kept = x[:, 0] > -0.3
    losses = F.cross_entropy(model(x), y, reduction="none")
    return {"loss": Ratio(losses[kept].sum(), kept.sum())}


@pytest.mark.parametrize("objective", [classification, masked_loss])
def test_accumulation_is_the_large_batch(objective):
    net = network(dropout=0.0, norm=False).double()
    x, y = data()
    ends = []
    for batch_size, accumulate in ((32, 1), (8, 4)):
        state = start(copy.deepcopy(net))
        train = TensorBatches((x.double(), y), batch_size, seed=1)
        plan = Plan(
            max_epochs=2,
            accumulate_grad_batches=accumulate,
            gradient_clip_val=0.5,
            limit_train_batches=64 // batch_size,
        )
        run(state, train, plan, objective)
        assert state.step == 4
        ends.append(torch.cat([p.flatten() for p in state.model.parameters()]))
    torch.testing.assert_close(*ends, rtol=1e-10, atol=1e-12)


def test_sgd_step_is_minus_lr_times_mean_gradient_over_the_unmasked():
    net = network(dropout=0.0, norm=False).double()
    x, y = (data()[0].double(), data()[1])
    state = start(copy.deepcopy(net))
    state.optimizer = torch.optim.SGD([{"params": list(state.model.parameters()), "lr": 0.1, "initial_lr": 0.1}])
    run(state, TensorBatches((x, y), 90, seed=0), Plan(max_epochs=1), masked_loss)
    kept = x[:, 0] > -0.3
    F.cross_entropy(net(x[kept]), y[kept]).backward()
    for new, old in zip(state.model.parameters(), net.parameters(), strict=True):
        torch.testing.assert_close(new, old - 0.1 * old.grad, rtol=1e-10, atol=1e-12)


def test_the_moving_average_is_the_sum_of_its_definition():
    net = nn.Linear(1, 1, bias=False)
    ema = Ema(net, 0.9)
    values = [float(net.weight.detach())]
    for k in range(5):
        nn.init.constant_(net.weight, float(k))
        ema.update()
        values.append(float(k))
    expected = 0.9**5 * values[0] + sum(0.1 * 0.9 ** (4 - k) * values[k + 1] for k in range(5))
    with ema.applied():
        assert net.weight.item() == pytest.approx(expected, rel=1e-6)
    assert net.weight.item() == 4.0


def test_evaluation_is_of_the_average_and_training_goes_on_from_the_weights():
    seen = []
    evaluators = {"val": lambda model: seen.append(copy.deepcopy(model)) or {"accuracy": 0.0}}
    train = TensorBatches(data(), 16, seed=1)
    with_average = start(network(), decay=0.5)
    run(with_average, train, Plan(max_epochs=2), evaluators=evaluators)
    without = start(network())  # seeds again
    run(without, train, Plan(max_epochs=2))
    assert same(with_average.model, without.model)
    for name, average in with_average.ema.state_dict().items():
        assert torch.equal(seen[-1].get_parameter(name), average)
        assert not torch.equal(average, with_average.model.get_parameter(name))


def test_evaluation_draws_no_number_of_training():
    noisy = {"val": lambda model: {"accuracy": torch.rand(5).mean().item()}}
    train = TensorBatches(data(), 16, seed=1)
    one = start(network())
    run(one, train, Plan(max_epochs=3), evaluators=noisy)
    two = start(network())  # seeds again
    run(two, train, Plan(max_epochs=3))
    assert same(one.model, two.model)


def test_generated_batches_depend_on_seed_and_number_alone():
    made = []

    def make(seed: int, number: int):
        made.append((seed, number))
        generator = torch.Generator().manual_seed(1000 * seed + number)
        x = torch.randn(8, 6, generator=generator)
        return x, (x[:, 0] > 0).long()

    run(start(network()), GeneratedBatches(make, 5, seed=3), Plan(max_epochs=None, max_steps=12))
    assert made == [(3, number) for number in range(12)]


def test_max_steps_ends_inside_an_epoch_and_still_evaluates():
    rows = []
    state = start(network())
    plan = Plan(max_epochs=9, max_steps=7, log_every=3)
    result = run(state, TensorBatches(data(), 16, seed=1), plan, log=lambda step, **row: rows.append((step, row)))
    assert (result.steps, result.epochs, state.finished) == (7, 2, True)
    assert [step for step, _ in rows] == [3, 5, 6, 7]
    assert [row["epoch"] for _, row in rows if "epoch" in row] == [1, 2]
    assert rows[-1][1]["train/loss"] == result.last["train/loss"]


def test_rows_are_means_over_all_samples_since_the_last():
    """With learning rate 0 after no warm-up the loss of the epoch is the loss of the set."""
    x, y = data()
    state = start(network(dropout=0.0, norm=False), schedule="linear_warmup", num_warmup_steps=0, num_training_steps=1)
    state.step = 5  # past the end: the rate is 0
    before = copy.deepcopy(state.model)
    rows = []
    train = TensorBatches((x, y), 16, seed=1, drop_last=False)
    run(state, train, Plan(max_epochs=1), log=lambda step, **row: rows.append(row))
    logits = before(x)
    assert rows[-1]["train/loss"] == pytest.approx(F.cross_entropy(logits, y).item(), rel=1e-6)
    assert rows[-1]["train/accuracy"] == pytest.approx((logits.argmax(1) == y).float().mean().item())


def scripted(values: list[float]) -> dict:
    """An evaluator that answers with the values, one an epoch, and final tests that say which weights they see."""
    answers = iter(values)
    seen = []

    def validate(model):
        seen.append(copy.deepcopy(model))
        return {"accuracy": next(answers), "loss": -1.0}

    return {"seen": seen, "val": validate}


@pytest.mark.parametrize("decay", [0.0, 0.8])
@pytest.mark.parametrize(("mode", "best_epoch"), [("max", 2), ("min", 3)])
def test_final_tests_see_the_last_weights_and_the_best(mode, best_epoch, decay):
    script = scripted([0.5, 0.9, 0.2, math.nan, 0.9])
    tested = []
    state = start(network(), decay=decay)
    result = run(
        state,
        TensorBatches(data(), 16, seed=1),
        Plan(max_epochs=5),
        best=Best(mode=mode),
        evaluators={"val": script["val"]},
        final={"test": lambda model: tested.append(copy.deepcopy(model)) or {"accuracy": float(len(tested))}},
    )
    assert (result.best_epoch, result.best) == (best_epoch, 0.9 if mode == "max" else 0.2)
    assert result.final == {"test@last/accuracy": 1.0, "test@best-val/accuracy": 2.0}
    last, best = tested
    assert same(last, script["seen"][-1])
    assert same(best, script["seen"][best_epoch - 1])
    assert not same(last, best)
    if not decay:
        assert same(state.model, last)


def test_the_plateau_sees_the_monitored_metric():
    state = start(network(), schedule="plateau", patience=0)
    script = scripted([0.5, 0.4, 0.6, 0.6])
    run(state, TensorBatches(data(), 16, seed=1), Plan(max_epochs=4), evaluators={"val": script["val"]})
    assert state.schedule.rate(1.0, 0) == pytest.approx(0.2**2)


def test_enough_ends_training():
    result = run(
        start(network()),
        TensorBatches(data(), 16, seed=1),
        Plan(max_epochs=9),
        enough=lambda row: row["train/loss"] > 0,
    )
    assert result.epochs == 1


def test_several_evaluators_in_one_row():
    x, y = data()
    evaluators = {
        "clean": Evaluation(TensorBatches((x, y), 32), classification, CPU),
        "noisy": Evaluation(TensorBatches((x, 1 - y), 32), classification, CPU),
    }
    result = run(
        start(network()),
        TensorBatches((x, y), 16, seed=1),
        Plan(max_epochs=1),
        best=Best("clean/accuracy"),
        evaluators=evaluators,
    )
    assert result.last["clean/accuracy"] == pytest.approx(1 - result.last["noisy/accuracy"])


def test_autocast_trains_in_half_precision_with_float32_weights():
    seen = set()

    def objective(model, batch):
        measures = classification(model, batch)
        seen.add(model(batch[0]).dtype)
        return measures

    state = start(network())
    result = run(state, TensorBatches(data(), 16, seed=1), Plan(max_epochs=8, precision="bf16"), objective)
    assert seen == {torch.bfloat16}
    assert {p.dtype for p in state.model.parameters()} == {torch.float32}
    full = run(start(network()), TensorBatches(data(), 16, seed=1), Plan(max_epochs=8))
    assert result.last["train/loss"] == pytest.approx(full.last["train/loss"], rel=0.02)


def test_advance_and_lines_for_the_user():
    steps, lines = [], []
    state = start(network(), schedule="cosine_warmup", num_warmup_steps=1, num_training_steps=4)
    fit(
        state,
        TensorBatches(data(), 16, seed=1),
        classification,
        Plan(max_epochs=1),
        CPU,
        advance=steps.append,
        say=lines.append,
    )
    assert sum(steps) == 5
    assert lines == ["warning: the learning rate is 0 from step 4 on; training has 5 steps"]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Plan(max_epochs=None), "needs an end"),
        (lambda: Plan(accumulate_grad_batches=0), "at least 1"),
        (lambda: Plan(gradient_clip_val=0.0), "positive"),
        (lambda: run(start(network()), TensorBatches(data(), 91, seed=1), Plan()), "no full batch"),
        (lambda: run(start(network()), TensorBatches(data(), 9, seed=1), Plan(limit_train_batches=1.5)), "share in"),
        (
            lambda: run(start(network()), TensorBatches(data(), 9, seed=1), Plan(precision="fp16")),
            "needs a CUDA device",
        ),
        (
            lambda: run(
                start(network()),
                TensorBatches(data(), 9, seed=1),
                Plan(),
                best=Best("vla/loss"),
                evaluators={"val": lambda model: {}},
            ),
            "expected one of: val/...",
        ),
        (
            lambda: run(
                start(network()),
                TensorBatches(data(), 9, seed=1),
                Plan(),
                best=Best("val/accuracy"),
                evaluators={"val": lambda model: {"acuracy": 1.0}},
            ),
            "did you mean 'val/acuracy'",
        ),
    ],
)
def test_user_errors(make, message):
    with pytest.raises(UserError, match=message):
        make()


def test_memory_store_keeps_the_best_only():
    store = MemoryStore()
    run(start(network()), TensorBatches(data(), 16, seed=1), Plan(max_epochs=2), store=store)
    assert (store.load_state(), store.load_best()) == (None, None)
