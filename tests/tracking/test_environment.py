"""What is recorded of the machine: enough to repeat a run, nothing that should not be published."""

import importlib
import json
import platform
import subprocess
import sys

import numpy
import torch

from src.tracking import environment


def test_versions_machine_and_command(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["train.py", "--out", "runs", "lr=1e-4"])
    found = environment()
    assert found["python"] == platform.python_version()
    assert found["packages"]["torch"] == torch.__version__
    assert found["packages"]["numpy"] == numpy.__version__
    assert found["packages"]["numba"]
    assert found["cpu"]
    assert found["cpu_count"] >= 1
    assert found["command"] == ["train.py", "--out", "runs", "lr=1e-4"]
    assert json.loads(json.dumps(found)) == found


def test_the_host_name_is_not_there(monkeypatch):
    monkeypatch.setattr(platform, "node", lambda: "secret-host")
    monkeypatch.setattr("socket.gethostname", lambda: "secret-host")
    assert "secret-host" not in json.dumps(environment())


def test_git_state_follows_the_checkout_and_is_none_outside(monkeypatch, tmp_path):
    def git(*words):
        subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a@b", *words], cwd=tmp_path, check=True)

    monkeypatch.setattr(importlib.import_module("src.tracking.environment"), "_FOLDER", tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert environment()["git"] is None
    git("init", "-q")
    (tmp_path / "a").write_text("1")
    git("add", "a")
    git("commit", "-q", "-m", "first")
    clean = environment()["git"]
    (tmp_path / "a").write_text("2")
    assert len(clean["commit"]) == 40
    assert clean["dirty"] is False
    assert environment()["git"] == {"commit": clean["commit"], "dirty": True}
    monkeypatch.setenv("PATH", "")
    assert environment()["git"] is None
