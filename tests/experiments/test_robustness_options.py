"""The command line of `robustness.py`: the published options, and one line for each that is wrong."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from src.experiments.robustness import main
from tests.experiments.scripts import assert_one_line

ROOT = Path(__file__).parents[2]


def bad_files(folder: Path) -> dict[str, str]:
    savemat(folder / "small.mat", {"ptb": np.eye(4)})
    savemat(folder / "nan.mat", {"ptb": np.full((32, 32), np.nan)})
    savemat(folder / "key.mat", {"E_hat": np.eye(32)})
    (folder / "text.mat").write_text("not a matrix\n")
    return {
        "small.mat": "n = 4",
        "nan.mat": "NaN",
        "key.mat": "E_hat",
        "text.mat": "cannot read",
        "none.mat": "no perturbation file",
    }


def test_a_bad_perturbation_file_is_one_line(tmp_path, capsys):
    for name, expected in bad_files(tmp_path).items():
        words = ["--dataset", "digits", "--out", str(tmp_path / "runs"), "--perturbation", str(tmp_path / name)]
        assert_one_line(main, words, expected, capsys)
    assert not (tmp_path / "runs").exists()


WRONG = [
    (["--models", "s4d,s4ptd"], "did you mean 's4-ptd'"),
    (["--model", "s4d"], "did you mean '--models'"),
    (["--noise", "freqency"], "did you mean 'frequency'"),
    (["--dataset", "cifar"], "did you mean 'cifar10'"),
    (["--epochs", "0"], "epochs"),
    (["--epochs", "ten"], "--epochs"),
    (["--lr", "-1"], "lr = -1"),
    (["--dropout", "1"], "dropout = 1"),
    (["--n", "5"], "even number"),
    (["--n", "16"], "n = 32"),
    (["--batch_size", "100000"], "training split has"),
    (["--perturbation", "ranc1"], "did you mean 'rank1'"),
    (["--perturbation", "random", "--set", "perturbation_size=-1"], "at least"),
    (["--grayscale"], "grey already"),
    (["model/layer=s5"], "models=["),
    (["model=s5"], "models=["),
    (["droput=0"], "did you mean 'dropout'"),
    (["optimizer.lrr=0"], "did you mean 'optimizer.lr'"),
    (["dropout"], "key=value"),
    (["--set", "droput=0"], "did you mean 'dropout'"),
    (["--dropout", "0.1", "--set", "dropout=0"], "given twice"),
    (["--set", "amplitude=0"], "positive numbers"),
    (["--set", "states=some"], "states"),
    (["--seeds", "x"], "how many seeds"),
]


@pytest.mark.parametrize(("words", "expected"), WRONG, ids=[" ".join(words) for words, _ in WRONG])
def test_a_wrong_option_is_one_line_and_exit_code_2(words, expected, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    dataset = [] if "--dataset" in words else ["--dataset", "digits"]
    assert_one_line(main, [*dataset, *words], expected, capsys)
    assert not list(tmp_path.iterdir())


def test_missing_data_is_one_line_that_names_the_way_out(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("DATA_PATH", str(tmp_path))
    expected = "run `python -m src.dataloaders prepare cifar`, or set dataset.data_dir; `--dataset digits` runs at once, offline"
    assert_one_line(main, ["--out", str(tmp_path / "runs")], expected, capsys)


def test_every_published_option_is_accepted(tmp_path, capsys):
    words = "--lr 0.01 --weight_decay 0.05 --epochs 3 --dataset digits --num_workers 4 --batch_size 64 --n_layers 4 --d_model 128"
    words += " --dropout 0.1 --prenorm --resume --dry_run --seeds 1 --out"
    assert main([*words.split(), str(tmp_path)]) == 0
    assert "2 runs: 0 done" in capsys.readouterr().out


def test_the_door(tmp_path):
    command = [sys.executable, str(ROOT / "robustness.py"), "--help"]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, env={**os.environ})
    assert run.returncode == 0
    assert "--perturbation" in run.stdout
