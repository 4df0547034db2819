"""Whatever the environment holds: threads are counted, misspelt names are one line before a folder is made, a home is not needed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from src import cache
from src.errors import UserError
from src.experiments.theory import main as theory
from src.experiments.train import main as train
from src.sweep.devices import threads_of
from src.variables import check_variables, is_started_by_torchrun, openmp_threads
from tests.experiments.scripts import assert_one_line

ROOT = Path(__file__).resolve().parents[1]
ONE_RUN = ["--experiment", "real", "--seeds", "1", "--num_epochs", "20", "--wandb", "disabled"]
ONE_RUN += ["--set", "N=4", "L=4", "task_name=delay", "opt=adam", "lr=0.001", "r_min=0.9"]


@pytest.mark.parametrize(("text", "threads"), [
    ("4", 4), (" 4 ", 4), ("+4", 4), ("04", 4), ("4,2", 4), (" 4 , 2,1 ", 4), ("1", 1),  # OpenMP 5.2, section 21.1.2
    ("", None), ("0", None), ("-1", None), ("two", None), ("4,", None), ("4;2", None), ("1e3", None), ("99999999", None), ("0x2", None),
])  # fmt: skip
def test_threads_in_every_form_of_openmp(text, threads, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", text)
    assert openmp_threads() == threads
    assert threads_of(["cpu"]) == (threads or 1)


@pytest.mark.parametrize(("variables", "expected"), [
    ({}, False),
    ({"WORLD_SIZE": "1"}, False),
    ({"WORLD_SIZE": "2", "RANK": "0", "LOCAL_RANK": "0", "MASTER_ADDR": "here", "MASTER_PORT": "1"}, True),
])  # fmt: skip
def test_what_torchrun_sets(variables, expected):
    assert is_started_by_torchrun(variables) is expected


def test_part_of_what_torchrun_sets_is_refused():
    with pytest.raises(
        UserError, match="WORLD_SIZE=4 is set and LOCAL_RANK, MASTER_ADDR, MASTER_PORT are not: start with torchrun"
    ):
        check_variables({"WORLD_SIZE": "4", "RANK": "0"})


@pytest.mark.parametrize(("name", "value", "line"), [
    ("SSM_BACKEND", "trition", "did you mean 'triton'?"),
    ("WORLD_SIZE", "4", "unset WORLD_SIZE"),
])  # fmt: skip
@pytest.mark.parametrize("script", ["theory", "train"])
def test_a_wrong_variable_is_one_line_before_a_folder_is_made(name, value, line, script, monkeypatch, tmp_path, capsys):
    monkeypatch.setenv(name, value)
    main, words = {
        "theory": (theory, [*ONE_RUN, "--out", str(tmp_path / "out")]),
        "train": (train, ["experiment=smoke/digits", f"out={tmp_path / 'out'}"]),
    }[script]
    assert_one_line(main, words, line, capsys)
    assert not (tmp_path / "out").exists()


def test_a_home_that_cannot_be_written_to_is_said_once(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("SSM_CACHE", raising=False)
    monkeypatch.setenv("MPLCONFIGDIR", "")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(os, "access", lambda place, mode: False)
    folder = cache.cache_root()
    assert folder == tmp_path / f"ssm-experiments-{os.getuid()}"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert capsys.readouterr().err.splitlines() == [
        f"cache: {tmp_path / 'home'}/.cache/ssm-experiments cannot be written to; using {folder} (SSM_CACHE=FOLDER names a lasting one)"
    ]
    monkeypatch.undo()
    monkeypatch.setenv("SSM_CACHE", str(folder))  # as the processes that this one starts find it
    assert cache.cache_root() == folder
    assert capsys.readouterr().err == ""


def test_the_temporary_cache_is_never_in_a_folder_of_another_user(monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    (tmp_path / f"ssm-experiments-{os.getuid()}").symlink_to("/")
    assert cache._temporary_folder().parent == tmp_path
    assert not cache._temporary_folder().is_symlink()


NO_USER = "import pwd\ndef gone(uid):\n    raise KeyError(uid)\npwd.getpwuid = gone\n"  # what a container's numeric user meets


@pytest.mark.parametrize("surroundings", [
    {"HOME": None, "SSM_CACHE": None, "OMP_NUM_THREADS": "1,2"},
    {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "OMP_NUM_THREADS": "many"},
], ids=["no home, no user, a list of threads", "LANG=C, no number of threads"])  # fmt: skip
def test_a_script_in_strange_surroundings(surroundings, tmp_path):
    (tmp_path / "sitecustomize.py").write_text(NO_USER)
    variables = {**os.environ, "PYTHONPATH": str(tmp_path), "TMPDIR": str(tmp_path), "WANDB_API_KEY": ""} | surroundings
    variables = {name: value for name, value in variables.items() if value is not None}
    command = [sys.executable, "train_selectivity.py", "--config", "delay.yaml", "--seeds", "1", "--dry_run"]
    done = subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "1 runs: " in done.stdout
    assert "Traceback" not in done.stderr
    assert done.stderr.count("cache: there is no home folder") == ("HOME" in surroundings)


@pytest.mark.parametrize("backend", ["module://matplotlib_inline.backend_inline", "none of these"])
def test_figures_are_drawn_to_files_whatever_a_notebook_wants(backend, tmp_path):
    program = (
        "from src.errors import run_door\n"
        "def main():\n"
        "    from src.report.style import style\n"
        "    with style():\n"
        "        import matplotlib.pyplot as plt\n"
        f"        plt.subplots()[0].savefig({str(tmp_path / 'figure.png')!r})\n"
        "    return 0\n"
        "run_door(main)\n"
    )
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=ROOT, env={**os.environ, "MPLBACKEND": backend}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "figure.png").stat().st_size > 1000
