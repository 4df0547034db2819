"""`--help` and a typo are answered before anything is loaded that trains, draws or compiles."""

import resource
import subprocess
import sys

import pytest

from tests.test_architecture import ROOT

HEAVY = {"torch", "numba", "llvmlite", "scipy", "matplotlib", "wandb", "pandas", "jinja2", "ray", "sklearn", "PIL"}
SECONDS = 2.0  # of processor time; 0.35 on an idle core, and torch alone takes 1.7
ASKED = [
    ("train_theory", ["--help"], 0),
    ("train_theory", ["--experiment", "reel"], 2),
    ("train_theory", ["--experiment", "real", "task_nam=copy"], 2),
    ("train_selectivity", ["--help"], 0),
    ("train_selectivity", ["--config", "dely.yaml"], 2),
    ("train_selectivity", ["--config", "delay.yaml", "model.ssm_typ=S6-Real"], 2),
    ("train", ["--help"], 0),
    ("train", ["experiment=smoke/digit"], 2),
    ("train", ["experiment=smoke/digits", "modle.d_model=3"], 2),
    ("src.report", ["--help"], 0),
    ("src.report", ["no-such-folder"], 2),
]
PROGRAM = """
import atexit, runpy, sys
heavy = {heavy!r}
atexit.register(lambda: print("loaded:", *sorted(heavy & set(sys.modules)), file=sys.stderr))
sys.argv[1:] = {words!r}
runpy.run_module({door!r}, run_name="__main__", alter_sys=True)
"""


@pytest.mark.parametrize(("door", "words", "code"), ASKED)
def test_a_door_answers_before_anything_heavy_is_loaded(door, words, code):
    program = PROGRAM.format(heavy=HEAVY, words=words, door=door)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    run = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=120)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert run.returncode == code, run.stderr
    assert run.stderr.splitlines()[-1] == "loaded:"
    assert after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime < SECONDS


def test_what_is_heavy_would_be_seen():
    program = PROGRAM.format(heavy=HEAVY | {"json"}, words=[], door="json.tool")
    run = subprocess.run([sys.executable, "-c", program], input="1", cwd=ROOT, capture_output=True, text=True)
    assert run.stderr.splitlines()[-1] == "loaded: json"
