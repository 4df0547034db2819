"""The recipes of src/README.md, followed to the letter in a copy of the tree: their blocks, their commands, and what they promise."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "src" / "README.md").read_text()
RECIPES = {  # recipe -> what its commands print in the end
    "a kernel": ("test@last", "passed"),
    "a theory target": ("square wave", "Tables and figures:"),
    "a data set": ("test@last", "odd: 1,797 images"),
    "a schedule": ("test@last",),
    "an option of robustness.py": ("1 runs done", "s4d"),
}
MOST_FILES = 3


def blocks(recipe: str) -> list[tuple[str, str, str]]:
    """(language, file or "recipe", text) of each named block of a recipe."""
    section = re.search(rf"^### {re.escape(recipe)}\n(.*?)(?=^### )", PAGE, flags=re.DOTALL | re.MULTILINE)[1]
    return re.findall(r"^```(\w+) (\S+)\n(.*?)^```", section, flags=re.DOTALL | re.MULTILINE)


def patched(text: str, diff: str) -> str:
    """`text` with each part of the diff in its place; the lines that it stands between must be there, once."""
    for hunk in re.split(r"^@@\n", diff, flags=re.MULTILINE):
        lines = [(line[0], line[1:]) for line in hunk.splitlines() if line]
        old = "".join(f"{line}\n" for mark, line in lines if mark != "+")
        assert f"\n{text}".count(f"\n{old}") == 1, f"these lines stand not once in the file:\n{old}"
        text = text.replace(old, "".join(f"{line}\n" for mark, line in lines if mark != "-"))
    return text


def tree(folder: Path) -> Path:
    """A copy of what commands need; data are linked."""
    for name in ("src", "configs", "tests"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for file in (*ROOT.glob("*.py"), ROOT / "pyproject.toml"):
        shutil.copy(file, folder)
    (folder / "data").symlink_to(ROOT / "data")
    return folder


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_fits_the_tree(recipe):
    """Fast: its files are new or there, its diffs fit, and they are as few as promised."""
    named = {file: (language, text) for language, file, text in blocks(recipe) if file != "recipe"}
    assert 1 <= len(named) <= MOST_FILES
    for file, (language, text) in named.items():
        if language == "diff":
            assert patched((ROOT / file).read_text(), text) != (ROOT / file).read_text()
        else:
            assert not (ROOT / file).exists()


@pytest.mark.slow  # each starts whole scripts; the test above is the fast one
@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_works(recipe, tmp_path):
    folder = tree(tmp_path / "tree")
    printed = ""
    for language, file, text in blocks(recipe):
        if language == "diff":
            (folder / file).write_text(patched((folder / file).read_text(), text))
        elif language != "sh":
            (folder / file).write_text(text)
    for line in [line for language, _, text in blocks(recipe) if language == "sh" for line in text.splitlines()]:
        words = [sys.executable, *shlex.split(line)[1:]]
        run = subprocess.run(
            words, cwd=folder, capture_output=True, text=True, timeout=400, env={**os.environ, "OMP_NUM_THREADS": "1"}
        )
        assert run.returncode == 0, f"{line}\n{run.stdout}\n{run.stderr}"
        printed += run.stdout
    for words in RECIPES[recipe]:
        assert words in printed, printed
