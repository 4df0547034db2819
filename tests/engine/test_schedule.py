"""Schedules against torch's, where torch has them, and else against their closed forms."""

import math

import pytest
import torch
from torch.optim import lr_scheduler

from src.engine import make_schedule
from src.engine.state import TrainState
from src.errors import UserError

BASE = 0.3


def torch_rates(make, n: int, metrics=None) -> list[float]:
    """The rates of a torch scheduler for t = 0 .. n - 1."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=BASE)
    scheduler = make(optimizer)
    rates = []
    for t in range(n):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step(*([metrics[t]] if metrics else []))
    return rates


def rates(schedule, n: int) -> list[float]:
    return [schedule.rate(BASE, t) for t in range(n)]


def test_cosine_is_torchs_also_beyond_its_end():
    expected = torch_rates(lambda o: lr_scheduler.CosineAnnealingLR(o, T_max=10, eta_min=1e-3), 35)
    assert rates(make_schedule("cosine", T_max=10, eta_min=1e-3), 35) == pytest.approx(expected, rel=1e-9)


def test_multistep_is_torchs():
    expected = torch_rates(lambda o: lr_scheduler.MultiStepLR(o, [3, 7, 8], 0.2), 12)
    assert rates(make_schedule("multistep", milestones=[3, 7, 8]), 12) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize("lost", [(), (0,), (0, 1, 17)], ids=["finite", "the first is NaN", "some are NaN"])
def test_plateau_is_torchs(mode, lost):
    generator = torch.Generator().manual_seed(0)
    metrics = (torch.rand(60, generator=generator).cummax(0).values * (1 if mode == "max" else -1) + 2).tolist()
    metrics = [float("nan") if t in lost else metric for t, metric in enumerate(metrics)]
    expected = torch_rates(lambda o: lr_scheduler.ReduceLROnPlateau(o, mode, 0.5, 3, min_lr=1e-3), 60, metrics)
    schedule = make_schedule("plateau", mode=mode, factor=0.5, patience=3, min_lr=1e-3)
    got = []
    for t, metric in enumerate(metrics):
        got.append(schedule.rate(BASE, t))
        schedule.observe(metric)
    assert got == pytest.approx(expected, rel=1e-12)
    assert min(got) < BASE / 8  # it did cut


def test_plateau_continues_from_its_state():
    first, second = (make_schedule("plateau", patience=1) for _ in range(2))
    for metric in (0.5, 0.4, 0.4, 0.4):
        first.observe(metric)
    second.load_state_dict(first.state_dict())
    for metric in (0.4, 0.4, 0.6):
        first.observe(metric)
        second.observe(metric)
        assert first.rate(BASE, 0) == second.rate(BASE, 0)
    assert first.rate(BASE, 0) == pytest.approx(BASE * 0.2**2)


def test_warmups_rise_from_zero_in_a_straight_line():
    for name in ("constant_warmup", "linear_warmup", "cosine_warmup"):
        schedule = make_schedule(name, num_warmup_steps=4)
        assert rates(schedule, 5) == pytest.approx([0, BASE / 4, BASE / 2, 3 * BASE / 4, BASE])


def test_cosine_warmup_is_half_a_cosine_to_zero():
    schedule = make_schedule("cosine_warmup", num_warmup_steps=10, num_training_steps=110)
    for t in (10, 35, 60, 85, 110):
        assert schedule.rate(BASE, t) == pytest.approx(BASE * math.cos(math.pi * (t - 10) / 200) ** 2, abs=1e-15)
    assert schedule.rate(BASE, 10_000) == 0
    assert schedule.end() == 110


def test_published_cosine_rises_again():
    schedule = make_schedule("cosine_warmup", num_warmup_steps=10, num_training_steps=110, after_end="periodic")
    assert schedule.rate(BASE, 160) == pytest.approx(BASE / 2)
    assert schedule.rate(BASE, 210) == pytest.approx(BASE)
    assert schedule.end() is None


def test_linear_warmup_falls_in_a_straight_line():
    schedule = make_schedule("linear_warmup", num_warmup_steps=0, num_training_steps=4)
    assert rates(schedule, 6) == pytest.approx([BASE, 0.75 * BASE, 0.5 * BASE, 0.25 * BASE, 0, 0])


def test_defaults_are_the_published_ones():
    assert (make_schedule("cosine").T_max, make_schedule("cosine").eta_min) == (100, 1e-6)
    assert (make_schedule("cosine_warmup").num_warmup_steps, make_schedule("cosine_warmup").end()) == (1000, 40_000)
    assert (make_schedule("multistep").milestones, make_schedule("multistep").gamma) == ((80, 140, 180), 0.2)
    assert (make_schedule("plateau").factor, make_schedule("plateau").patience) == (0.2, 20)
    intervals = {"cosine": "epoch", "plateau": "epoch", "multistep": "epoch", "cosine_warmup": "step"}
    assert {name: make_schedule(name).interval for name in intervals} == intervals


def test_each_group_keeps_its_own_rate():
    one, two = torch.nn.Parameter(torch.zeros(1)), torch.nn.Parameter(torch.zeros(1))
    groups = [{"params": [one], "lr": 0.1, "initial_lr": 0.1}, {"params": [two], "lr": 0.001, "initial_lr": 0.001}]
    state = TrainState(torch.nn.Linear(1, 1), torch.optim.SGD(groups), make_schedule("linear_warmup"))
    state.step = 500
    assert state.set_rates() == pytest.approx(0.05)
    assert [group["lr"] for group in state.optimizer.param_groups] == pytest.approx([0.05, 0.0005])
    state.schedule, state.epoch = make_schedule("multistep", milestones=[2]), 2
    assert state.set_rates() == pytest.approx(0.02)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("cosine_warm", {}, "did you mean 'cosine_warmup'"),
        ("cosine", {"Tmax": 3}, "did you mean 'T_max'"),
        ("cosine", {"T_max": 0}, "at least 1"),
        ("multistep", {"milestones": "3"}, "milestones"),
    ],
)
def test_user_errors(name, options, message):
    with pytest.raises(UserError, match=message):
        make_schedule(name, **options)
