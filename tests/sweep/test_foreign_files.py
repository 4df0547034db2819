"""What other programs, torn disks and curious users leave in run folders costs one run each, never the sweep."""

import json
import os
import time
from types import SimpleNamespace

import pytest

from src.config import load_yaml
from src.errors import UserError
from src.sweep import Run, RunFolder, collect, survey
from src.sweep.ledger import SweepOutcome
from src.sweep.lock import check_writable
from src.sweep.script import say_outcome

STATUS = {
    "empty": b"",
    "torn": b'{"state": "do',
    "binary": bytes(range(256)),
    "another format": b"[1, 2, 3]",
    "an unknown state": b'{"state": "sleeping"}',
    "a state that is a list": b'{"state": ["done"]}',
    "a step that is a word": b'{"state": "running", "step": "many"}',
    "a step that is true": b'{"state": "running", "step": true}',
    "seconds that are none": b'{"state": "failed", "seconds": null}',
    "a message that is a number": b'{"state": "failed", "message": 3}',
    "too deep": b"[" * 100_000,
    "a number too long": b'{"state": ' + b"9" * 10_000 + b"}",
}


def done_run(out, seed: int) -> RunFolder:
    folder = RunFolder(out, Run("toy", {"seed": seed}, f"seed {seed}"))
    with folder.locked():
        folder.start({})
        folder.finish({"x": seed})
    return folder


@pytest.mark.parametrize("content", STATUS.values(), ids=STATUS)
def test_a_foreign_status_costs_one_run(tmp_path, content):
    healthy, hurt = done_run(tmp_path, 0), done_run(tmp_path, 1)
    (hurt.path / "status.json").write_bytes(content)
    found = survey([healthy.run, hurt.run], tmp_path)
    assert [run for run, _ in found.done] == [healthy.run]
    ((run, status),) = found.interrupted
    assert run == hurt.run
    assert "status.json" in status.message
    assert [folder.result() for folder in collect(tmp_path, "toy") if folder.result()] == [{"x": 0}]
    assert done_run(tmp_path, 1).result() == {"x": 1}


def test_a_folder_in_the_place_of_a_file_costs_one_run(tmp_path):
    healthy, hurt = done_run(tmp_path, 0), done_run(tmp_path, 1)
    (hurt.path / "status.json").unlink()
    (hurt.path / "status.json").mkdir()
    found = survey([healthy.run, hurt.run], tmp_path)
    assert [run for run, _ in found.done] == [healthy.run]
    assert "status.json cannot be read" in found.interrupted[0][1].message


@pytest.mark.parametrize("content", [b"", b"- 1", b"a: [", b"\xff\xfe\x00", b"seed: 7", b"&a [*a]"])
def test_a_config_that_was_changed_is_said_and_left_out(tmp_path, content, capsys):
    healthy, hurt = done_run(tmp_path, 0), done_run(tmp_path, 1)
    (hurt.path / "config.yaml").write_bytes(content)
    assert [folder.run for folder in collect(tmp_path, "toy")] == [healthy.run]
    said = capsys.readouterr().err
    assert said.startswith("left out: ")
    assert str(hurt.path) in said
    assert len(said.splitlines()) == 1


@pytest.mark.parametrize("kind", ["pipe", "device", "folder"])
def test_a_config_is_a_file(tmp_path, kind):
    path = tmp_path / "pipe.yaml"
    if kind == "pipe":
        os.mkfifo(path)
    path = {"pipe": path, "device": "/dev/zero", "folder": tmp_path}[kind]
    with pytest.raises(UserError, match="is a folder, a pipe or a device; expected a YAML file"):
        load_yaml(path)


def test_trying_a_folder_leaves_nothing_behind(tmp_path, monkeypatch):
    check_writable(tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []
    monkeypatch.setattr("src.sweep.lock._try_lock", lambda *_: (_ for _ in ()).throw(UserError("no locks")))
    with pytest.raises(UserError, match="no locks"):
        check_writable(tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize(("outcome", "code"), [
    (SweepOutcome(done=[Run("toy", {})]), 1),  # a report that was asked for and is not there
    (SweepOutcome(done=[Run("toy", {})], left=[Run("toy", {"a": 1})]), 75),
    (SweepOutcome(done=[Run("toy", {})], failed=[(Run("toy", {"a": 1}), "OSError: No space left on device")]), 1),
])  # fmt: skip
@pytest.mark.parametrize(
    "error", [UserError("the disk is full"), OSError(28, "No space left on device"), KeyError("x")]
)
def test_the_error_of_a_report_does_not_hide_how_the_runs_ended(outcome, code, error, tmp_path, capsys):
    def report():
        raise error

    page = SimpleNamespace(path=tmp_path, write=lambda: False)
    assert say_outcome(outcome, tmp_path, report, page) == code
    assert str(error) in capsys.readouterr().err


def test_a_finished_sweep_of_a_thousand_runs_is_checked_in_seconds(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    runs = [Run("toy", {"seed": seed, "lr": 1e-4 * seed, "sizes": [1, 2, 3]}, f"seed {seed}") for seed in range(1000)]
    for run in runs:
        folder = RunFolder(tmp_path, run)
        folder.path.mkdir(parents=True)
        (folder.path / "config.yaml").write_text("".join(f"{k}: {json.dumps(v)}\n" for k, v in run.config.items()))
        record = {"experiment": "toy", "key": run.key, "label": run.label, "result": {"loss": 0.5}}
        (folder.path / "result.json").write_text(json.dumps(record))
        (folder.path / "status.json").write_text(json.dumps({"state": "done", "step": 7, "label": run.label}))
    started = time.process_time()
    assert len(survey(runs, tmp_path).done) == 1000
    assert len([folder.result() for folder in collect(tmp_path, "toy")]) == 1000
    assert time.process_time() - started < 3.0
