"""A run's key and folder: one config, one folder, and nothing in it that cannot be trusted."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from src.errors import UserError
from src.sweep import Run, RunFolder, collect
from src.sweep.lock import LockedError, is_locked
from src.sweep.run import NUMERICS
from src.tracking.checkpoint import CheckpointError

RUN = Run("theory_real", {"N": 64, "lr": 1e-4, "L": "N", "seed": 0, "axes": [1, 2]}, label="first")


@pytest.fixture
def folder(tmp_path):
    folder = RunFolder(tmp_path, RUN)
    with folder.locked():
        folder.start({"python": "3"})
        yield folder


def reopened(folder: RunFolder) -> RunFolder:
    """The folder as the next process sees it."""
    again = RunFolder(folder.path.parents[1], folder.run)
    again.start({})
    return again


def test_the_key_is_stable():
    """If this changes, the results on users' disks are done again.

    It is the start of what `sha256sum` says of
    {"config":{"L":"N","N":64,"axes":[1,2],"lr":0.0001,"seed":0},"experiment":"theory_real","numerics":3}; version 1 had no numerics.
    """
    assert RUN.key == "47e30e0e67ec"
    assert replace(RUN, numerics=1).key == "c586c63f20fa"
    same = Run("theory_real", {"axes": (1.0, 2.0), "seed": 0.0, "L": "N", "lr": 0.0001, "N": 64.0}, label="other")
    assert same.key == RUN.key
    assert same == RUN
    assert hash(same) == hash(RUN)


@pytest.mark.parametrize("change", [{"N": 65}, {"lr": 1.0000000001e-4}, {"seed": False}, {"L": None}, {"new": 0}])
def test_any_change_of_the_config_changes_the_key(change):
    assert Run("theory_real", RUN.config | change).key != RUN.key
    assert Run("theory_complex", RUN.config).key != RUN.key


@pytest.mark.parametrize("name", ["", "../up", "/abs", "a//b", "a/../b", "a b", ".hidden"])
def test_an_experiment_name_cannot_leave_the_folder(name):
    with pytest.raises(ValueError, match="an experiment's name"):
        Run(name, {})


def test_start_writes_config_and_environment_and_reading_touches_nothing(tmp_path, folder):
    assert folder.path == tmp_path / "theory_real" / RUN.key
    assert (folder.path / "config.yaml").read_text() == "N: 64\nlr: 0.0001\nL: N\nseed: 0\naxes:\n- 1\n- 2\n"
    [found] = collect(tmp_path, "theory_real")
    assert (found.run, found.run.label, found.config) == (RUN, "first", RUN.config)
    assert found.status().state == "running"
    reader = RunFolder(tmp_path / "nowhere", RUN)
    assert (reader.status().state, reader.result(), reader.load_arrays()) == ("new", None, None)
    assert not (tmp_path / "nowhere").exists()
    with pytest.raises(RuntimeError, match="only read"):
        _ = reader.log


def test_a_changed_config_never_reuses_a_folder(tmp_path, folder, capsys):
    (folder.path / "config.yaml").write_text("N: 65\n")
    with pytest.raises(RuntimeError, match=r"config\.yaml is not the config that its folder is named after"):
        folder.start({})
    assert collect(tmp_path, "theory_real") == []
    assert "config.yaml is not the config that its folder is named after" in capsys.readouterr().err


def test_state_log_arrays_and_result_come_back(folder):
    assert folder.load_state() is None
    folder.log.log(5, loss=1.0)
    generator = torch.Generator().manual_seed(3)
    state = {"step": 5, "x": torch.tensor([1.0, math.nan]), "rng": generator.get_state(), "rest": [1, ("a", None, 2.5)]}
    folder.save_state(state)
    folder.log.log(10, loss=2.0)  # after the state: not part of what a resumed run keeps
    assert folder.status().step == 5

    again = reopened(folder)
    loaded = again.load_state()
    assert loaded["step"] == 5
    assert loaded["rest"] == [1, ("a", None, 2.5)]
    assert torch.equal(loaded["x"], state["x"]) is False  # nan is nan
    assert torch.equal(loaded["x"][:1], state["x"][:1])
    assert torch.isnan(loaded["x"][1])
    assert torch.equal(loaded["rng"], state["rng"])
    again.log.log(10, loss=3.0)
    assert again.metrics() == [{"step": 5, "loss": 1.0}, {"step": 10, "loss": 3.0}]

    again.save_arrays(K=np.arange(3.0), z=np.array([1j]))
    again.finish({"loss": math.inf, "n": np.int64(3)})
    assert again.status().state == "done"
    reader = RunFolder(folder.path.parents[1], RUN)
    assert reader.result() == {"loss": math.inf, "n": 3}
    assert {name: array.tolist() for name, array in reader.load_arrays().items()} == {"K": [0, 1, 2], "z": [1j]}
    assert not (folder.path / "state.prev.pt").exists()


def test_a_fresh_start_leaves_no_rows_of_an_earlier_one(folder):
    folder.log.log(1, x=1.0)
    assert reopened(folder).load_state() is None
    again = reopened(folder)
    again.log.log(2, x=2.0)
    assert [row["step"] for row in again.metrics()] == [2]
    with pytest.raises(RuntimeError, match="load_state comes before"):
        again.load_state()


@pytest.mark.parametrize(
    ("value", "message"),
    [(np.zeros(3), r"\['a'\] is a ndarray"), ([{1}], r"\['a'\]\[0\] is a set"), (object(), "object")],
)
def test_a_state_that_could_not_be_loaded_is_refused_when_saved(folder, value, message):
    folder.save_state({"step": 1})
    with pytest.raises(TypeError, match=message):
        folder.save_state({"step": 2, "a": value})
    assert reopened(folder).load_state() == {"step": 1}


def torn(path):
    path.write_bytes(path.read_bytes()[:-100])


def foreign(path):
    torch.save({"weights": torch.zeros(2)}, path)


def pickled(path):
    torch.save({"format": 1, "key": RUN.key, "state": Run("a", {})}, path)


def of_another_run(path):
    torch.save({"format": 1, "key": "0" * 12, "state": {"step": 9}}, path)


def of_the_future(path):
    torch.save({"format": 2, "key": RUN.key, "state": {"step": 9}}, path)


DAMAGES = {
    torn: "torn, or no checkpoint",
    foreign: "no checkpoint of this suite",
    pickled: "torn, or no checkpoint",
    of_another_run: f"this one is {RUN.key}",
    of_the_future: "has format 2; this version reads format 1",
}


@pytest.mark.parametrize(("damage", "message"), DAMAGES.items())
def test_a_bad_state_is_refused_or_replaced_by_the_one_before(folder, damage, message):
    folder.save_state({"step": 1})
    damage(folder.path / "state.pt")
    with pytest.raises(CheckpointError, match=message) as error:
        reopened(folder).load_state()
    assert "\n" not in str(error.value)
    assert f"delete {folder.path} to start this run again" in str(error.value)

    (folder.path / "state.pt").unlink()
    folder.save_state({"step": 1})
    folder.log.log(1, x=0.0)
    folder.log.log(2, x=0.0)
    folder.save_state({"step": 2})
    damage(folder.path / "state.pt")
    again = reopened(folder)
    assert again.load_state() == {"step": 1}
    assert message in again.warnings[0]
    assert "continuing from state.prev.pt" in again.warnings[0]
    _ = again.log
    assert [row["step"] for row in again.metrics()] == [1]


def test_a_kill_between_two_renames_loses_one_state_only(folder):
    folder.save_state({"step": 1})
    folder.save_state({"step": 2})
    (folder.path / "state.pt").unlink()
    assert reopened(folder).load_state() == {"step": 1}


def test_a_full_disk_keeps_the_earlier_state(folder, monkeypatch):
    folder.save_state({"step": 1})

    def full(descriptor):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", full)
        with pytest.raises(OSError, match="No space left on device"):
            folder.save_state({"step": 2})
        with pytest.raises(OSError, match="No space left on device"):
            folder.finish({"x": 1})
        assert folder.fail(ValueError("boom\nand more")) == "ValueError: boom"  # and does not raise
    assert folder.result() is None
    assert reopened(folder).load_state() == {"step": 1}


def test_what_a_killed_writer_left_is_cleared(folder):
    left = folder.path / ".result.json.tmp-99999"
    left.write_text("half")
    reopened(folder)
    assert not left.exists()


def test_a_torn_array_file_is_one_clear_line(folder):
    folder.save_arrays(x=np.zeros(100))
    path = folder.path / "arrays.npz"
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(UserError, match=r"arrays\.npz: torn"):
        folder.load_arrays()


def test_the_lock_excludes_and_ends(tmp_path):
    folder, other = RunFolder(tmp_path, RUN), RunFolder(tmp_path, RUN)
    assert not is_locked(folder.path)
    with folder.locked():
        assert is_locked(folder.path)
        with pytest.raises(LockedError, match=r"process \d+, since"), other.locked():
            pass
    assert not is_locked(folder.path)
    with other.locked():
        pass


def test_failure_and_interruption_are_told_apart(folder):
    folder.save_state({"step": 4})
    folder.interrupt()
    assert (folder.status().state, folder.status().step) == ("interrupted", 4)
    assert folder.fail(MemoryError()) == "MemoryError"
    assert (folder.status().state, folder.status().step, folder.status().message) == ("failed", 4, "MemoryError")
    assert "MemoryError" in (folder.path / "traceback.txt").read_text()


def test_runs_of_older_numerics_are_others_and_still_reported(tmp_path):
    old, new = (Run("x", {"a": 1}, "one", numerics) for numerics in (1, NUMERICS))
    assert old.key != new.key
    for run in (old, new):
        folder = RunFolder(tmp_path, run)
        folder.path.mkdir(parents=True)
        with folder.locked():
            folder.start({})
            folder.finish({"numerics": run.numerics})
    assert {f.run.key: f.result()["numerics"] for f in collect(tmp_path, "x")} == {old.key: 1, new.key: NUMERICS}
