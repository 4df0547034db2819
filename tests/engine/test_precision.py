"""Half precision where the processor has no instructions for it is said, not suffered."""

import pytest
import torch

from src.engine import device
from src.experiments import train_work
from src.experiments.classify.compose import compose_all
from src.experiments.classify.config import parse

CPU = torch.device("cpu")


@pytest.mark.parametrize(("half", "said"), [(3.0, True), (1.05, False), (0.5, False)])
def test_a_slow_precision_is_said_with_its_factor(monkeypatch, half, said):
    seconds = {torch.bfloat16: half, torch.float32: 1.0}
    monkeypatch.setattr(device, "_product_seconds", seconds.get)
    line = device.slowness(CPU, "bf16")
    assert (line is not None) is said
    assert not said or "3.0 times as long in bf16 as in fp32" in line


def test_a_sweep_says_it_once_a_precision(monkeypatch, capsys):
    monkeypatch.setattr(device, "_product_seconds", {torch.bfloat16: 3.0, torch.float32: 1.0}.get)
    configs = [
        parse(compose_all(["experiment=smoke/digits", f"trainer.precision={name}"])[0].config)
        for name in ("bf16", "fp32", "bf16")
    ]
    train_work._say_slowness(configs, ["cpu"])
    assert capsys.readouterr().out.count("3.0 times as long in bf16") == 1


def test_float32_and_gpus_are_not_measured(monkeypatch):
    monkeypatch.setattr(device, "_product_seconds", None)
    assert device.slowness(CPU, "fp32") is None
    assert device.slowness(torch.device("cuda"), "bf16") is None


def test_the_product_is_short():
    assert 0 < device._product_seconds(torch.float32) < 1
