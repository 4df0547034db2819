"""Checkpoints that are torn, foreign or of another run are refused in one line, and the one before is used."""

import pickle

import pytest
import torch
from torch import nn

from src.engine.weights import load_weights
from src.errors import UserError
from src.tracking.checkpoint import CheckpointError, CheckpointFile, read_checkpoint, write_checkpoint


class Foreign:
    """Something that only a real unpickler would load."""


def states(n: int) -> dict:
    return {"step": n, "weights": {"w": torch.full((3,), float(n))}, "rng": ("MT", [1, 2]), "best": None}


@pytest.fixture
def saved(tmp_path):
    """A file with two states behind it, and the lines that were said."""
    lines = []
    file = CheckpointFile(tmp_path / "run" / "last.pt", "key", lines.append)
    file.save(states(1))
    file.save(states(2))
    return file, lines


def test_the_newest_is_used(saved):
    file, lines = saved
    state = file.load()
    assert state["step"] == 2
    assert state["rng"] == ("MT", [1, 2])
    assert torch.equal(state["weights"]["w"], torch.full((3,), 2.0))
    assert lines == []
    assert {path.name for path in file.path.parent.iterdir()} == {"last.pt", "last.prev.pt"}


def torn(path):
    path.write_bytes(path.read_bytes()[:-200])


def empty(path):
    path.write_bytes(b"")


def text(path):
    path.write_text("not a checkpoint")


def pickled(path):
    torch.save({"format": 1, "key": "key", "state": Foreign()}, path)


def plain_pickle(path):
    path.write_bytes(pickle.dumps({"a": 1}, protocol=2))


def of_another_program(path):
    torch.save({"state_dict": {}}, path)


def newer_format(path):
    torch.save({"format": 2, "key": "key", "state": {}}, path)


def of_another_run(path):
    write_checkpoint(path, "other", states(9))


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (torn, "torn"),
        (empty, "torn"),
        (text, "torn"),
        (pickled, "torn"),
        (plain_pickle, "torn"),
        (of_another_program, "no checkpoint of this suite"),
        (newer_format, "has format 2; this version reads format 1"),
        (of_another_run, "belongs to another run (config other, this one is key)"),
    ],
)
def test_a_bad_file_is_refused_in_one_line_and_the_one_before_is_used(saved, damage, words):
    file, lines = saved
    before = file.path.with_name("last.prev.pt").read_bytes()
    damage(file.path)
    if damage is of_another_run:  # writing it moved the newest away
        file.path.with_name("last.prev.pt").write_bytes(before)
    assert file.load()["step"] == 1
    assert len(lines) == 1
    assert words in lines[0]
    assert lines[0].endswith("continuing from last.prev.pt")
    assert "\n" not in lines[0]


def test_two_bad_files_are_an_error(saved):
    file, _ = saved
    torn(file.path)
    text(file.path.with_name("last.prev.pt"))
    with pytest.raises(CheckpointError, match="to start this run again") as error:
        file.load()
    assert "\n" not in str(error.value)


def test_killed_between_the_two_renames(saved):
    file, lines = saved
    file.path.rename(file.path.with_name("last.prev.pt"))
    assert file.load()["step"] == 2
    assert lines == []


def test_no_file_is_no_state(tmp_path):
    assert CheckpointFile(tmp_path / "last.pt", "key").load() is None
    with pytest.raises(CheckpointError, match="no such checkpoint"):
        read_checkpoint(tmp_path / "last.pt")


def test_only_plain_values_are_written(saved):
    file, _ = saved
    with pytest.raises(TypeError, match=r"state\['a'\]\[1\] is a Foreign"):
        file.save({"a": [0, Foreign()]})
    assert file.load()["step"] == 2


def test_weights_of_another_model_are_refused_in_one_line():
    model = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
    weights = nn.Sequential(nn.Linear(2, 4), nn.Identity(), nn.Linear(3, 1)).state_dict()
    with pytest.raises(UserError) as error:
        load_weights(model, weights)
    message = str(error.value)
    assert "2 missing (1.bias, 1.weight)" in message
    assert "2 unknown (2.bias, 2.weight)" in message
    assert "0.weight is (4, 2) in the file and (3, 2) in the model" in message
    assert "\n" not in message
