"""What ties training to its surroundings: devices, the store of a sweep's run, the progress line."""

import io
import sys

import pytest
import torch

from src.engine import choose_device, describe_device, run_ports
from src.engine.progress import TrainingProgress
from src.errors import UserError
from src.stop import Interrupted
from src.sweep import Control, Run, RunFolder


def test_device_choice(monkeypatch):
    assert choose_device("cpu") == torch.device("cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device("auto") == torch.device("cpu")
    with pytest.raises(UserError, match="sees no CUDA device; use device=cpu"):
        choose_device("cuda")
    with pytest.raises(UserError, match="did you mean 'cuda'"):
        choose_device("cudaa")
    with pytest.raises(UserError, match="unknown device 'cpu:1'"):
        choose_device("cpu:1")
    assert describe_device(torch.device("cpu")).startswith("device: cpu (")


def test_each_process_takes_its_own_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "set_device", lambda index: None)
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert choose_device("auto") == torch.device("cuda", 1)
    assert choose_device("cuda:0") == torch.device("cuda", 0)
    with pytest.raises(UserError, match="there are 2 CUDA devices, counted from 0"):
        choose_device("cuda:2")
    monkeypatch.setenv("LOCAL_RANK", "2")
    with pytest.raises(
        UserError, match=r"there are 2 CUDA devices for the processes of torchrun; use --nproc_per_node=2"
    ):
        choose_device("auto")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    with pytest.raises(UserError, match="processes of torchrun take a GPU each; use device=cuda"):
        choose_device("cuda:0")


def test_a_run_folder_keeps_the_best_beside_the_states(tmp_path):
    folder = RunFolder(tmp_path, Run("toy", {"seed": 0}))
    with folder.locked():
        folder.start({})
        store = run_ports(folder, Control()).store
        store.save_best({"model": {}, "value": 0.5})
        store.save_state({"step": 3})
        assert store.load_best()["value"] == 0.5
    assert {path.name for path in folder.path.glob("*.pt")} == {"best.pt", "state.pt"}


def test_a_whole_training_run_inside_a_sweep_folder(tmp_path):
    """With the real run folder: stop, resume, and the log of an unbroken run."""
    from tests.engine.small import fingerprint, full_run, without_times

    def train(out, stop_after: int | None = None):
        folder = RunFolder(out, Run("toy", {"seed": 0}))
        with folder.locked():
            folder.start({})
            asked = iter(range(1000))
            control = Control(stopped=lambda: stop_after is not None and next(asked) >= stop_after)
            end = fingerprint(*full_run(**vars(run_ports(folder, control))))
            folder.finish({})
        return end, without_times(folder.metrics())

    whole = train(tmp_path / "whole")
    with pytest.raises(Interrupted):
        train(tmp_path / "broken", stop_after=9)
    assert train(tmp_path / "broken") == whole


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(("stream", "drawn"), [(Terminal, True), (io.StringIO, False)])
def test_the_progress_line_is_for_terminals(monkeypatch, stream, drawn):
    monkeypatch.setattr(sys, "stderr", stream())
    line = TrainingProgress(10, 2, show=True)
    line.step(64)
    line.show(1, {"loss": 0.25, "accuracy": 0.5}, 1234.0)
    line.close()
    text = sys.stderr.getvalue()
    assert ("epoch 1, loss 0.25, accuracy 0.5, 1234 samples/s" in text) == ("3/10" in text) == drawn
    assert bool(text) == drawn
