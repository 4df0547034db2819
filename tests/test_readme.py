"""Every command of README.md and of every page is one that works: options exist, files exist, links lead somewhere."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parents[1]
PAGES = [
    ROOT / "README.md",
    *sorted((ROOT / "docs").rglob("*.md")),
    *(ROOT / folder / "README.md" for folder in ("configs", "src", "src/dataloaders", "data")),
]
PLACEHOLDERS = ("...", "NAME", "RUN", "{", "<", "(", "my_module", "my_kernel", "my_task", "pip download")


def commands(page: Path) -> list[str]:
    """The commands of a page: lines of its shell blocks, and what stands as `python ...` in its text and tables."""
    text = page.read_text().replace("\\\n", " ")
    blocks = re.findall(r"```sh\n(.*?)```", text, flags=re.DOTALL)
    lines = [line.split(" #")[0].strip() for block in blocks for line in block.splitlines() if not line.startswith("#")]
    inline = re.findall(r"`(python (?:-m )?[\w.]+ [^`]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
    return [line for line in (*lines, *inline) if line and not any(word in line for word in PLACEHOLDERS)]


COMMANDS = {command: page.relative_to(ROOT) for page in reversed(PAGES) for command in reversed(commands(page))}
# what a command gets besides its own words, so that it is checked without its hours of work
SHORTENED = {"python train_theory.py": "--dry_run", "python train_selectivity.py": "--dry_run", "python robustness.py": "--dry_run",
             "python ablation.py": "--dry_run", "python -m train": "--cfg job", "python train.py": "--cfg job",
             "torchrun": "--cfg job", "make": "--dry-run", "python -m": "--help",
             "pip install": "--dry-run --no-deps --no-build-isolation --no-index -q"}  # fmt: skip
PROGRAMS = {
    "python": [sys.executable],
    "pip": [sys.executable, "-m", "pip"],
    "torchrun": [sys.executable, "-m", "torch.distributed.run"],
}
WANTS_A_GPU = ("--gpus", "--device cuda")


def shortened(command: str) -> list[str]:
    words = shlex.split(command)
    extra = next((value for start, value in SHORTENED.items() if command.startswith(start)), None)
    assert extra is not None, f"README has a command this test does not know how to check: {command}"
    extra = "" if extra in command else extra
    return [*PROGRAMS.get(words[0], words[:1]), *words[1:], *shlex.split(extra)]


def test_there_are_commands():
    assert len(COMMANDS) >= 40
    assert len({page for page in COMMANDS.values()}) >= 5


@pytest.mark.parametrize("command", COMMANDS)
def test_readme_command(command):
    run = subprocess.run(shortened(command), cwd=ROOT, capture_output=True, text=True, timeout=240)
    if any(option in command for option in WANTS_A_GPU) and not torch.cuda.is_available():
        assert (run.returncode, len(run.stderr.splitlines())) == (2, 1), run.stderr
        assert "no CUDA device" in run.stderr
    elif run.returncode == 2 and "src.dataloaders prepare" in run.stderr:  # its words are right, its data are not here
        assert len(run.stderr.splitlines()) == 1, run.stderr
        assert not any(name in command for name in ("digits", "smoke")), "these data ship with the project"
    else:
        assert run.returncode == 0, run.stderr


@pytest.mark.parametrize(
    "page",
    ["README.md", "src/README.md", "CHANGELOG.md", *(str(p.relative_to(ROOT)) for p in (ROOT / "docs").rglob("*.md"))],
)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)\)", (ROOT / page).read_text()):
        if not target.startswith(("http://", "https://")):
            assert ((ROOT / page).parent / target).exists(), f"{page} links to {target}"
