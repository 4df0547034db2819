"""train.py on many GPUs: a sweep's placement (the GPUs are names only here), and processes of torchrun that stop together."""

import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from src.errors import UserError
from src.experiments.train import main
from src.sweep import collect

ROOT = Path(__file__).parents[2]
WORDS = ("experiment=smoke/digits", "wandb=null")


@pytest.fixture
def two_gpus(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setenv("OMP_NUM_THREADS", "3")


@pytest.mark.parametrize(
    ("words", "placement"),
    [
        ((), "2 workers on cuda:0, cuda:1, 1 run a GPU, 3 threads each"),
        (("--runs_per_gpu", "2"), "4 workers on cuda:0, cuda:1, 2 runs a GPU, 3 threads each"),
        (("--gpus", "1", "--num_cpus", "5"), "1 worker on cuda:1, 1 run a GPU, 3 threads each"),
        (("device=cuda:1",), "1 worker on cuda:1, 1 run a GPU, 3 threads each"),
        (("device=cpu", "--num_cpus", "5"), "5 workers on the CPU, 3 threads each"),
    ],
)
def test_a_dry_run_says_where_a_sweep_computes(two_gpus, tmp_path, capsys, words, placement):
    assert main(["-m", *WORDS, "train.seed=0,1", f"out={tmp_path}", "--dry_run", *words]) == 0
    assert f"placement: {placement}" in capsys.readouterr().out.splitlines()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("-m", "--gpus", "2"), "there is no GPU 2; torch finds 2 CUDA devices"),
        (("-m", "device=cuda:2"), "there is no GPU 2"),
        (("-m", "--gpus", "0", "device=cpu"), "--gpus and a CPU device do not go together"),
        (("-m", "--gpus", "0", "device=cuda:1"), "--gpus and device=cuda:1 do not go together"),
        (("--gpus", "0"), "are of -m; one run takes device=cuda:1, or many GPUs with torchrun"),
        (("--runs_per_gpu", "2"), "are of -m"),
    ],
)
def test_gpus_that_cannot_be_are_one_line(two_gpus, tmp_path, words, message):
    with pytest.raises(UserError, match=message):
        main([*WORDS, f"out={tmp_path}", "--dry_run", *words])


def test_processes_of_torchrun_stop_together_with_the_state_saved(tmp_path):
    torchrun = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2")
    small = ("model.n_layers=1", "model.d_model=8", "model.layer.d_state=4", "dataset.train_size=320", "device=cpu")
    words = (*small, "trainer.max_epochs=1000", "loader.batch_size=16", f"out={tmp_path}")
    command = [*torchrun, "train.py", *WORDS, *words]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    end = time.monotonic() + 200
    while "epoch 1" not in (line := process.stdout.readline()):
        assert line, process.stderr.read()
        assert time.monotonic() < end
    process.terminate()  # torchrun hands it on to both
    out, errors = process.communicate(timeout=100)
    assert "stopped with the state saved; the same command continues" in out
    assert "Interrupted" not in errors  # no process ends with a traceback of its own
    [folder] = collect(tmp_path, "train-smoke-digits")
    assert folder.status().state == "interrupted"
    assert folder.status().step > 0
