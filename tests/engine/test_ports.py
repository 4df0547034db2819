"""What ties training to its surroundings: devices, signals, the store of a sweep's run, the progress line."""

import io
import os
import signal
import sys
import types

import pytest
import torch

from src.engine import RunStore, choose_device, describe_device, run_ports, stop_on_signals
from src.engine.progress import ProgressLine
from src.errors import UserError


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


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_the_first_signal_asks_and_handlers_are_put_back(signum, capsys):
    earlier = signal.getsignal(signum)
    with stop_on_signals() as stop:
        assert not stop()
        os.kill(os.getpid(), signum)
        assert stop()
        assert signal.getsignal(signum) is earlier  # the second one ends the process
    assert signal.getsignal(signum) is earlier
    assert "stopping after this step" in capsys.readouterr().err


def test_the_store_of_a_run_keeps_the_best_beside_the_states(tmp_path):
    states = []
    folder = types.SimpleNamespace(
        path=tmp_path,
        run=types.SimpleNamespace(key="k"),
        warnings=[],
        save_state=states.append,
        load_state=lambda: states[-1],
    )
    store = RunStore(folder)
    store.save({"step": 3})
    store.save_best({"model": {}, "value": 0.5})
    assert store.load() == {"step": 3}
    assert store.load_best()["value"] == 0.5
    assert [path.name for path in tmp_path.iterdir()] == ["best.pt"]


def test_a_whole_training_run_inside_a_sweep_folder(tmp_path):
    """With the real run folder: stop, resume, and the log of an unbroken run."""
    from src.engine import Stopped
    from src.sweep import Control, Run, RunFolder
    from tests.engine.small import fingerprint, full_run, without_times

    def train(out, stop_after: int | None = None):
        folder = RunFolder(out, Run("toy", {"seed": 0}))
        with folder.locked():
            folder.start({})
            asked = iter(range(1000))
            control = Control(stopped=lambda: stop_after is not None and next(asked) >= stop_after)
            end = fingerprint(*full_run(**run_ports(folder, control)))
            folder.finish({})
        return end, without_times(folder.metrics())

    whole = train(tmp_path / "whole")
    with pytest.raises(Stopped):
        train(tmp_path / "broken", stop_after=9)
    assert train(tmp_path / "broken") == whole


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(("stream", "drawn"), [(Terminal, True), (io.StringIO, False)])
def test_the_progress_line_is_for_terminals(monkeypatch, stream, drawn):
    monkeypatch.setattr(sys, "stderr", stream())
    line = ProgressLine(10, 2, show=True)
    line.step(64)
    line.show(1, {"loss": 0.25, "accuracy": 0.5}, 1234.0)
    line.close()
    text = sys.stderr.getvalue()
    assert ("epoch 1, loss 0.25, accuracy 0.5, 1234 samples/s" in text) == ("3/10" in text) == drawn
    assert bool(text) == drawn
