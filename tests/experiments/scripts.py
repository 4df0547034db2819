"""What the tests of several scripts do alike: run the work of one folder, and look at the line that a wrong option gives."""

import re

import pytest

from src.errors import run_door
from src.sweep import Control


def worked(work, folder, control=None):
    """Returns the folder after its work, as a sweep's worker does it."""
    folder.path.mkdir(parents=True, exist_ok=True)
    with folder.locked():
        folder.start({})
        work([folder], control or Control())
    return folder


def assert_one_line(main, words, expected, capsys):
    """The script ends with code 2 and one line that holds `expected`, text or a pattern."""
    with pytest.raises(SystemExit) as exit_:
        run_door(lambda: main(words))
    captured = capsys.readouterr()
    assert exit_.value.code == 2
    assert len(captured.err.strip().splitlines()) == 1, captured.err
    assert captured.err.startswith("error: ")
    assert re.search(expected, captured.err) if isinstance(expected, re.Pattern) else expected in captured.err
