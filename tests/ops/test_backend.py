"""Which form of an operation is chosen: by device, by a probe, by SSM_BACKEND; said once."""

import pytest
import torch

from src.errors import UserError
from src.ops import backend as backends
from src.ops.backend import Operation, chosen, values_and_gradients

CPU, GPU = torch.device("cpu"), torch.device("cuda", 0)


def square(x):
    return x * x


def wrong_gradient(x):
    return x.detach() * x * 1.0


def probe(form, device):
    return values_and_gradients(form, [torch.arange(1.0, 4.0).requires_grad_()])


def operation(**forms):
    return Operation("squaring", {"reference": square, **forms}, probe)


@pytest.fixture(autouse=True)
def no_choice_of_the_user(monkeypatch):
    monkeypatch.delenv("SSM_BACKEND", raising=False)
    monkeypatch.setattr(backends, "has_triton", lambda device: device.type == "cuda")


def test_a_cpu_takes_compiled_loops_and_says_so_once(capsys):
    op = operation(torch=square, compiled=square, triton=square)
    assert [op.backend(CPU) for _ in range(3)] == ["compiled"] * 3
    assert capsys.readouterr().err == "squaring on cpu: compiled\n"
    assert chosen()["squaring"] == "compiled on cpu"


def test_a_gpu_takes_a_fused_kernel_that_agrees(capsys):
    assert operation(torch=square, triton=lambda x: x.square()).backend(GPU) == "triton"
    assert "squaring on cuda:0: triton (differs from the reference by 0e+00)" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("kernel", "why"),
    [
        (wrong_gradient, "differs from the reference by 5e-01"),
        (lambda x: x * x * float("nan"), "differs from the reference by inf"),
        (lambda x: 1 / 0, "failed with ZeroDivisionError: division by zero"),
    ],
)
def test_a_gpu_refuses_a_fused_kernel_that_does_not(kernel, why, capsys):
    op = operation(torch=square, triton=kernel)
    assert op.on(GPU) is square
    assert op.backend(GPU) == "torch"
    assert f"torch (slower: triton {why}" in capsys.readouterr().err


def test_a_gpu_without_triton_says_that_it_is_slower(monkeypatch, capsys):
    monkeypatch.setattr(backends, "has_triton", lambda device: False)
    assert operation(torch=square, triton=square).backend(GPU) == "torch"
    assert "slower: the package triton is missing" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["reference", "torch", "compiled"])
def test_the_environment_forces(name, monkeypatch, capsys):
    monkeypatch.setenv("SSM_BACKEND", name)
    assert operation(torch=square, compiled=square).backend(CPU) == name
    assert f"squaring on cpu: {name} (SSM_BACKEND)" in capsys.readouterr().err


def test_a_forced_form_that_is_not_there_is_replaced_and_said(monkeypatch, capsys):
    monkeypatch.setenv("SSM_BACKEND", "compiled")
    assert operation(torch=square).backend(CPU) == "torch"
    assert "it has no such form" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "device", "words"),
    [
        ("tritn", CPU, "did you mean 'triton'"),
        ("triton", CPU, "needs a CUDA device"),
        ("compiled", GPU, "runs on a CPU"),
    ],
)
def test_what_cannot_be_forced_is_one_line(name, device, words, monkeypatch):
    monkeypatch.setenv("SSM_BACKEND", name)
    with pytest.raises(UserError, match=words):
        operation(torch=square, compiled=square, triton=square).backend(device)


def test_a_backend_by_name_needs_no_choice():
    op = operation(torch=square)
    assert op.on(GPU, "reference") is square
    with pytest.raises(ValueError, match="unknown squaring backend 'nope'"):
        op.on(GPU, "nope")
