"""The doors beside the five scripts: a typo, an option given twice, a bad size or place is one line, exit code 2, and writes nothing."""

import sys

import pytest

from src.bench import __main__ as bench
from src.bench import card
from src.dataloaders import __main__ as dataloaders
from src.errors import EXIT_USAGE, UserError
from src.experiments import sinusoid
from src.linalg.ptd import __main__ as ptd
from src.report import __main__ as report

NOWHERE = "/proc/nowhere"  # where nobody can write, root neither
DOORS = {
    "bench": bench.main,
    "bench.card": card.main,
    "dataloaders": dataloaders.main,
    "sinusoid": sinusoid.main,
    "linalg.ptd": ptd.main,
    "report": report.main,
}
CASES = [
    ("bench", "theroy", "did you mean 'theory'"),
    ("bench", "train --threds 2", "did you mean '--threads'"),
    ("bench", "train --threads 0", "--threads 0: expected 1 or more"),
    ("bench", "train --threads two", "'two'"),
    ("bench", "train --threads 1 --threads 2", "--threads is given twice"),
    ("bench", f"train --out {NOWHERE}/x.md", "cannot write"),
    ("bench.card", "--outt x", "did you mean '--out'"),
    ("bench.card", "--out a --out b", "--out is given twice"),
    ("dataloaders", "chek file", "did you mean 'check'"),
    ("dataloaders", "prepare cifra", "did you mean 'cifar'"),
    ("dataloaders", "prepare cifar --mirror ftp://x", "https://"),
    ("dataloaders", "prepare listops --seed -1", "-1"),
    ("sinusoid", "--sed 3", "did you mean '--seeds'"),
    ("sinusoid", "stps=3 --dry_run", "did you mean 'steps'"),
    ("sinusoid", "steps=-1 --dry_run", "steps = -1"),
    ("sinusoid", "--seeds 1 --seeds 2", "--seeds is given twice"),
    ("sinusoid", f"--out {NOWHERE} --seeds 1 steps=2", "cannot write"),
    ("linalg.ptd", "--n 8 --sise 0.1", "did you mean '--size'"),
    ("linalg.ptd", "--n -3", "from 1 to 1024"),
    ("linalg.ptd", "--n 8 --n 16", "--n is given twice"),
    ("linalg.ptd", f"--n 8 --out {NOWHERE}/e.mat", "cannot write"),
    ("linalg.ptd", "--n 8 --out e.txt", ".mat or .npz"),
    ("report", "--formt png", "did you mean '--format'"),
    ("report", "nope", "no such folder"),
    ("report", "theory-ptd --only gaines", "did you mean 'gains'"),
    ("report", "theory-ptd --only gains --only states", "--only is given twice"),
    ("report", f"theory-ptd --out {NOWHERE}", "cannot be written"),
    ("report", f"theory-bounds --out {NOWHERE}", "cannot"),
    ("report", "pack nope --out x", "no such folder"),
    ("report", "pack . --ot x", "did you mean '--out'"),
]


@pytest.mark.parametrize(("door", "words", "said"), CASES, ids=[f"{door} {words}" for door, words, _ in CASES])
def test_a_mistake_is_one_line(door, words, said, monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [door, *words.split()])
    monkeypatch.setenv("DATA_PATH", str(tmp_path))
    code, line = ended(DOORS[door], words.split(), capsys)
    assert code == EXIT_USAGE
    assert said in line
    assert "\n" not in line
    assert list(tmp_path.iterdir()) == []


def ended(main, words, capsys):
    """(exit code, what is said), whichever way a door has of ending: it returns, exits, or raises what `run_door` makes a line of."""
    try:
        code = main() if main is bench.main else main(words)
    except UserError as error:
        return EXIT_USAGE, str(error)
    except SystemExit as error:
        code = error.code
    return code, capsys.readouterr().err.strip()
