"""`python -m src.dataloaders`: what it prints, and one line for every mistake, before anything is computed."""

import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from src.dataloaders import __main__ as cli
from src.dataloaders.load import DATASETS, check_options
from src.errors import UserError


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("DATA_PATH", str(tmp_path / "data"))
    return tmp_path / "data"


def run_cli(*arguments, root):
    command = [sys.executable, "-m", "src.dataloaders", *arguments, "--root", str(root)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_command_line(tmp_path):
    made = run_cli("prepare", "listops", "--generate", "--num", "4", "--num-eval", "2", "--workers", "1", root=tmp_path)
    assert made.stdout == "listops: 4 / 2 / 2 expressions (as generated), values right\n", made.stderr
    listed = run_cli("list", root=tmp_path)
    lines = {line.split()[0]: line for line in listed.stdout.splitlines()}
    assert "ready" in lines["listops"]
    assert "ready" in lines["digits"]
    assert "missing" in lines["cifar"]
    assert "Traceback" not in listed.stderr


def test_list_says_what_must_lie_where(root, capsys):
    assert cli.main(["list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    layouts = [line.split("layout", 1)[1] for line in lines[2::2]]
    assert len(layouts) == len(DATASETS)
    for word in (
        "data_batch_1.bin",
        "validation_list.txt",
        "basic_train.tsv",
        "train/pos",
        "new_aan_pairs",
        "metadata/<k>.npy",
    ):
        assert any(word in layout for layout in layouts)


def test_the_page_shows_the_layouts_that_list_prints():
    page = (Path(cli.__file__).parent / "README.md").read_text()
    for name in DATASETS:
        assert f"| `{name}` | {check_options(name).layout.shows} |" in page


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("prepare cifar --num 3", "--num needs --generate"),
        ("prepare pathfinder --level easy", "--level needs --generate"),
        ("check cifar --level easy", "only pathfinder and pathx have levels"),
        ("check pathfinder --level esy", "did you mean 'easy'"),
        ("check --level easy", "--level needs the name of a data set"),
        ("prepare cifar --generate", "makes listops, pathfinder, pathx only"),
        ("prepare cifar --resolution 32", "only pathfinder has one"),
        ("prepare pathfinder --generate --num-eval 3", "80 / 10 / 10"),
        ("prepare pathfinder --generate --mirror http://x/y", "give one of them"),
        ("prepare nothing", "unknown data set"),
        ("prepare mnits", "did you mean 'mnist'"),
        ("check cifar", "prepare cifar"),
        ("check digits --root {file}", "the data root is a file"),
        ("prepare cifar --archive /no/such/file", "no such file"),
    ],
)
def test_requests_that_cannot_be(arguments, message, root, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=message) as error:
        cli.main(arguments.format(file=tmp_path / "file").split())
    assert "\n" not in str(error.value)
    assert not root.exists() or not any(root.iterdir())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("lst", "'lst' is not a choice; did you mean 'list'?"),
        ("prepare cifar --miror http://x", "unknown argument '--miror'; did you mean '--mirror'?"),
        ("prepare listops --seed 1 --seed 2", "--seed is given twice"),
        ("prepare listops --seed=1 --num 3 --seed=1", "--seed is given twice"),
        ("prepare listops --generate --seed -1", "expected"),
        ("prepare listops --generate --seed 1.5", "expected a whole number from 0"),
        ("prepare listops --generate --num 0", "expected a whole number from 1"),
        ("prepare listops --generate --num 1e9", "got '1e9'"),
        (f"prepare listops --generate --num {'9' * 5000}", "expected a whole number from 1"),
        ("prepare listops --generate --workers no", "expected a whole number from 1"),
        ("prepare cifar --mirror ftp://host/x", "expected an address such as https://host/folder"),
        ("prepare cifar --mirror host", "expected an address"),
        ("prepare cifar --mirror http://", "expected an address"),
        ("prepare cifar --mirror http://[::1/x", "expected an address"),
        ("prepare cifar --mirror http://host:99999/x", "expected an address"),
        ("prepare cifar --mirror http://host/x?y=1", "expected an address"),
        ("check digits --sheet sheet.jpg", "ends in .png"),
        ("check digits --sheet /dev/null/sheet.png", "cannot be written"),
    ],
)
def test_words_that_mean_nothing(arguments, message, root, capsys):
    with pytest.raises(SystemExit) as exit_:
        cli.main(arguments.split())
    printed = capsys.readouterr().err
    assert exit_.value.code == 2
    assert message in printed
    assert printed.count("\n") == 1


def test_check_all_and_a_sheet(root, tmp_path, capsys):
    assert cli.main(["check"]) == 0
    assert "digits: 1,797 images, checksum as shipped" in capsys.readouterr().out
    assert cli.main(["check", "digits", "--sheet", str(tmp_path / "new" / "digits.png")]) == 0
    assert Image.open(tmp_path / "new" / "digits.png").size[0] > 500


def test_pathx_is_pathfinder_128(monkeypatch, root):
    made, command = [], ["--resolution", "128", "--generate", "--num", "5", "--seed", "1", "--workers", "3"]
    monkeypatch.setattr(cli, "generate", lambda *a: made.append(a) or "ok")
    cli.main(["prepare", "pathfinder", *command])
    assert made == [("pathx", {"num": 5, "resolution": 128, "seed": 1}, 3)]


def test_a_full_disk_is_one_line(monkeypatch):
    def full():
        raise OSError(28, "No space left on device", "/some/file")

    monkeypatch.setattr(cli, "main", full)
    with pytest.raises(UserError, match=r"^No space left on device: /some/file$"):
        cli._door()
