"""Where the workers of a sweep compute: which GPUs, how many runs on each, how many threads; and that asking touches no card."""

import importlib
from pathlib import Path

import pytest
import torch

from src.engine.state import rng_state, set_rng_state
from src.errors import UserError
from src.sweep import RunFolder
from src.sweep.cli import SuggestingParser, add_common_arguments
from src.sweep.devices import bind, count_workers, describe_slots, make_slots, pick_devices, threads_of
from src.sweep.script import run_script
from src.tracking import device_environment
from tests.sweep.toy_sweep import toy_runs, toy_sweep


@pytest.fixture
def two_gpus(monkeypatch):
    """Two cards as torch would report them; whatever would make a context on one fails."""

    def touched(*_: object) -> None:
        raise AssertionError("this process initialised CUDA")

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "_lazy_init", touched)
    monkeypatch.setattr(torch.cuda, "set_device", touched)
    monkeypatch.delenv("OMP_NUM_THREADS")
    monkeypatch.setattr("src.sweep.devices.available_cores", lambda: 16)


def test_devices(two_gpus, monkeypatch):
    assert pick_devices("cpu") == ["cpu"]
    assert pick_devices("auto") == pick_devices("cuda") == pick_devices("auto", "auto") == ["cuda:0", "cuda:1"]
    assert pick_devices("auto", (1,)) == ["cuda:1"]
    assert pick_devices("cuda", (1, 0)) == ["cuda:1", "cuda:0"]
    with pytest.raises(
        UserError, match=r"--gpus 0,2: there is no GPU 2; torch finds 2 CUDA devices here, counted from 0"
    ):
        pick_devices("auto", (0, 2))
    for gpus in ("auto", (0,)):
        with pytest.raises(UserError, match="--gpus and a CPU device do not go together"):
            pick_devices("cpu", gpus)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert pick_devices("auto") == pick_devices("auto", "auto") == ["cpu"]
    with pytest.raises(UserError, match="--device cuda: torch finds no CUDA device here"):
        pick_devices("cuda")
    with pytest.raises(UserError, match="--gpus 0: there is no GPU 0; torch finds no CUDA device here"):
        pick_devices("auto", (0,))


def test_a_ray_cluster_takes_no_numbers(two_gpus, monkeypatch):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    assert pick_devices("cuda", (1,), "ray") == ["cuda:1"]
    monkeypatch.setenv("RAY_ADDRESS", "head:6379")
    assert pick_devices("cuda", None, "ray") == ["cuda:0", "cuda:1"]
    with pytest.raises(UserError, match="a Ray cluster chooses among its own GPUs"):
        pick_devices("cuda", (1,), "ray")


def test_workers_go_round_the_cards_and_share_the_cores(two_gpus, monkeypatch):
    cards = ["cuda:0", "cuda:1"]
    assert count_workers(cards, num_cpus=7, runs_per_gpu=3) == 6
    assert count_workers(["cpu"], num_cpus=7, runs_per_gpu=3) == 7
    slots = make_slots(cards, 6)
    assert slots == ["cuda:0", "cuda:1"] * 3
    assert threads_of(slots) == 2
    assert threads_of(make_slots(cards, 40)) == 1
    assert threads_of(["cpu"] * 4) == threads_of(slots, "ray") == 1
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    assert threads_of(slots) == threads_of(["cpu"]) == 5


def test_the_line_of_a_dry_run(two_gpus):
    assert describe_slots(["cpu"]) == "placement: 1 worker on the CPU, 1 thread each"
    assert describe_slots(["cpu"] * 3, "ray") == "placement: 3 Ray tasks on the CPU, 1 thread each"
    slots = ["cuda:0", "cuda:2"] * 2
    assert describe_slots(slots) == "placement: 4 workers on cuda:0, cuda:2, 2 runs a GPU, 4 threads each"
    assert describe_slots(slots, "ray") == "placement: 4 Ray tasks with 1/2 of a GPU each, 1 thread each"


def test_a_script_takes_the_gpus_that_its_options_name(two_gpus, tmp_path, capsys):
    parser = SuggestingParser()
    add_common_arguments(parser, project_name="Toy")

    def script(*words: str) -> str:
        args = parser.parse_args([*words, "--out", str(tmp_path)])
        run_script(
            toy_runs(3), "tests.sweep.toy_work:work", args, steps=lambda run: 1, report=lambda path: "", page=None
        )
        return capsys.readouterr().out

    said = script("--gpus", "1", "--runs_per_gpu", "2", "--num_cpus", "9", "--dry_run")
    assert said.splitlines()[-1] == "placement: 2 workers on cuda:1, 2 runs a GPU, 8 threads each"
    with pytest.raises(UserError, match="there is no GPU 7"):
        script("--gpus", "7", "--dry_run")
    with pytest.raises(UserError, match="do not go together"):
        script("--gpus", "0", "--device", "cpu")


def test_a_sweep_and_runs_on_the_cpu_leave_the_cards_alone(two_gpus, tmp_path):
    """The two cards are this process's; its workers have none, and a toy needs none."""
    outcome = toy_sweep(tmp_path, toy_runs(2), devices=pick_devices("auto"), workers=2)
    assert outcome.exit_code == 0
    assert {RunFolder(tmp_path, run).status().device for run in outcome.done} <= {"cuda:0", "cuda:1"}
    set_rng_state(rng_state())
    assert device_environment("cpu") == {"device": "cpu"}
    bind("cpu")


def test_a_worker_binds_its_card_before_it_names_it(two_gpus, monkeypatch, tmp_path):
    bound = []
    monkeypatch.setattr(torch.cuda, "set_device", bound.append)
    bind("cuda:1")
    bind("cuda")  # what Ray's tasks see
    assert bound == [1, 0]
    properties = type("Card", (), {"name": "Toy GPU", "total_memory": 80 * 2**30, "major": 9, "minor": 0})
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: properties)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-8932f937-d72c-4106-c12f-20bd9faed9f6,3")
    found = device_environment("cuda:1")
    assert found["device"] == "cuda:1, Toy GPU"
    expected = {
        "name": "Toy GPU",
        "memory_gib": 80.0,
        "capability": "9.0",
        "count": 2,
        "visible_devices": "GPU-8932f937,3",
    }
    assert found["gpu"].items() >= expected.items()
    assert found["gpu"].keys() - expected.keys() == {"torch_cuda", "driver"}


@pytest.mark.parametrize(
    ("line", "version"),
    [
        ("NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.161.07  Sat Feb 17 22:55:48 UTC 2024", "535.161.07"),
        ("NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  550.54.14  Release Build", "550.54.14"),
        ("something else", None),
    ],
)
def test_the_driver_is_read_from_the_kernel(monkeypatch, line, version):
    monkeypatch.setattr(Path, "read_text", lambda path: line)
    assert importlib.import_module("src.tracking.environment")._driver() == version
