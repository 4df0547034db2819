"""Are results unchanged since a commit?  `python -m tests.record --against REV [--only theory]`

Runs the commands of `runs.py` in a copy of the commit and in this working tree, one thread each, and names every run whose rows, result
or state differ in a bit. Both sides run on this machine: bits of float32 sums are comparable nowhere else.
"""

import argparse
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.record.compare import differences, read_runs
from tests.record.runs import COMMANDS

ROOT = Path(__file__).parents[2]


def main() -> int:
    """Returns 0 where nothing differs, 1 otherwise."""
    parser = argparse.ArgumentParser(prog="python -m tests.record", description=__doc__.splitlines()[0])
    parser.add_argument("--against", metavar="REV", required=True, help="the commit to compare with")
    parser.add_argument("--only", metavar="WORD", default="", help="commands whose name holds the word")
    parser.add_argument(
        "--keep", metavar="FOLDER", help="keep the runs of both sides here; those of REV are used again"
    )
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(args.keep or scratch).resolve()
        base = place / "base"
        if not base.exists():
            checkout(args.against, base)
        differing = [name for name in COMMANDS if args.only in name and not same(name, base, place)]
    print(f"{len(differing)} of {sum(args.only in name for name in COMMANDS)} commands differ", *differing, sep="\n  ")
    return 1 if differing else 0


def checkout(rev: str, folder: Path) -> None:
    """Writes the files of a commit into a folder."""
    folder.mkdir(parents=True)
    archive = subprocess.run(["git", "archive", rev], cwd=ROOT, check=True, capture_output=True).stdout
    subprocess.run(["tar", "x", "-C", folder], input=archive, check=True)


def same(name: str, base: Path, place: Path) -> bool:
    """Runs one command on both sides (the old one at most once) and prints how they differ."""
    slug = name.replace(" ", "-").replace(",", "")
    old, new = place / "before" / slug, place / "after" / slug
    if not old.exists():
        run(COMMANDS[name], base, old, place / "cache-before")
    shutil.rmtree(new, ignore_errors=True)
    run(COMMANDS[name], ROOT, new, place / "cache-after")
    before, after = read_runs(old), read_runs(new)
    lines = [f"{len(before)} runs -> {len(after)}"] if len(before) != len(after) or not before else []
    for i, (one, other) in enumerate(zip(before, after, strict=False)):
        lines += [f"run {i}: {line}" for line in differences(one, other)]
    print(f"{name}: {'equal' if not lines else ''}", *lines[:12], sep="\n  " if lines else "", flush=True)
    return not lines


def run(command: str, repository: Path, out: Path, cache: Path) -> None:
    """Runs one command of a repository into `out`, on one thread."""
    words = shlex.split(command)
    words += [f"out={out}"] if "train" in words else ["--out", str(out)]
    shown = {"OMP_NUM_THREADS": "1", "SSM_CACHE": str(cache)}
    done = subprocess.run(
        [sys.executable, *words], cwd=repository, env={**os.environ, **shown}, capture_output=True, text=True
    )
    if done.returncode:
        sys.exit(f"{command}\nexit code {done.returncode} in {repository}\n{done.stdout[-2000:]}{done.stderr[-2000:]}")


if __name__ == "__main__":
    sys.exit(main())
