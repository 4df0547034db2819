"""One's own file from the command line to the report: the example of docs/data.md in reduced form, and a regression."""

import importlib.util
import re
from pathlib import Path

import numpy as np
import pytest

from src.experiments.train import main
from src.sweep import collect
from tests.experiments.scripts import assert_one_line

PAGE = Path(__file__).parents[2] / "docs" / "data.md"
SMALL = ["model.n_layers=1", "model.d_model=8", "model.dropout=0", "wandb=null", "device=cpu"]


def trained(out, *words):
    assert main(["dataset=file", *SMALL, *words, f"out={out}"]) == 0
    (folder,) = collect(out, "train-own")
    return folder


def appliances(folder: Path) -> tuple[Path, Path]:
    """ACSF1 of the UCR archive as the page gets it if the package is here; else sequences of its length and classes in its layout."""
    found = importlib.util.find_spec("aeon")
    if found is not None:
        real = Path(found.submodule_search_locations[0]) / "datasets" / "data" / "ACSF1"
        return real / "ACSF1_TRAIN.ts", real / "ACSF1_TEST.ts"
    rng = np.random.default_rng(0)
    paths = folder / "ACSF1_TRAIN.ts", folder / "ACSF1_TEST.ts"
    head = [
        "#made here",
        "@problemName ACSF1",
        "@timeStamps false",
        "@missing false",
        "@univariate true",
        "@equalLength true",
    ]
    head += ["@seriesLength 1460", "@classLabel true 0 1 2 3 4 5 6 7 8 9", "@data"]
    for path in paths:
        rows = [f"{','.join(f'{v:.4f}' for v in rng.normal(label, 1, 1460))}:{label}" for label in list(range(10)) * 3]
        path.write_text("\n".join([*head, *rows]) + "\n")
    return paths


def test_the_example_of_the_page(tmp_path, capsys):
    (command,) = re.findall(
        r"python -m train (dataset=file dataset\.path=\S+ dataset\.test_path=\S+)", PAGE.read_text()
    )
    train, test = appliances(tmp_path)
    words = [
        re.sub(r"=\S*_TRAIN\.ts", f"={train}", re.sub(r"=\S*_TEST\.ts", f"={test}", word))
        for word in command.split()[1:]
    ]
    folder = trained(tmp_path / "runs", *words, "trainer.max_steps=2", "dataset.l_max=200")
    result = folder.result()
    assert (result["n_classes"], result["steps"]) == (10, 2)
    assert "split of the two files" in result["data"]
    assert 0 <= result["test@last/accuracy"] <= 1
    assert "10 classes" in capsys.readouterr().out


def numbers(path: Path, unit: float = 40.0) -> str:
    """A row a sequence, whose label is 900 + unit times its mean."""
    rng = np.random.default_rng(1)
    x = rng.normal(size=(120, 1)) + 0.3 * rng.normal(size=(120, 12))
    rows = [",".join([f"{900 + unit * row.mean():.4f}", *(f"{v:.4f}" for v in row)]) for row in x]
    path.write_text("\n".join([",".join(["y", *(f"t{i}" for i in range(12))]), *rows]) + "\n")
    return str(path)


def test_a_regression_is_learned_reported_and_kept_apart_by_its_file(tmp_path, capsys):
    path = numbers(tmp_path / "own.csv")
    words = [f"dataset.path={path}", "trainer.max_epochs=12", "optimizer.lr=0.02", "scheduler.T_max=12"]
    result = trained(tmp_path / "runs", *words).result()
    assert result["n_classes"] is None
    assert result["target_mean"] == pytest.approx(900, abs=20)
    assert result["test@best-val/r2"] > 0.8
    assert 0 < result["test@best-val/mae"] < 20  # in the label's unit, whose standard deviation is about 40
    rows = collect(tmp_path / "runs", "train-own")[0].metrics()
    assert result["best/val"] == pytest.approx(max(row["val/r2"] for row in rows if "val/r2" in row))
    printed = capsys.readouterr().out
    assert "labels are numbers" in printed
    assert "R² in percent, mae in the labels' unit" in printed
    assert main(["dataset=file", *SMALL, *words, f"out={tmp_path / 'runs'}"]) == 0
    assert len(collect(tmp_path / "runs", "train-own")) == 1  # nothing new
    numbers(tmp_path / "own.csv", unit=10.0)
    assert main(["dataset=file", *SMALL, *words, "trainer.max_steps=1", f"out={tmp_path / 'runs'}"]) == 0
    assert len(collect(tmp_path / "runs", "train-own")) == 2  # another content is another run


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["dataset=file"], "dataset=file needs dataset.path=FILE"),
        (["dataset=fil"], "did you mean 'file'"),
        (["dataset=file", "dataset.path=/no/such.csv"], "no such file"),
        (["dataset=file", "dataset.pth=a.csv"], "did you mean 'dataset.path'"),
        (["dataset=file", "dataset.target=clas"], "did you mean 'class'"),
    ],
)
def test_mistakes_are_one_line(words, message, tmp_path, capsys):
    assert_one_line(main, [*words, *SMALL, f"out={tmp_path / 'runs'}"], message, capsys)
    assert not (tmp_path / "runs").exists()
