"""Secrets leave no command line for a record, and no home folder goes to a mirror."""

import sys
import types
from pathlib import Path

import pytest

from src.tracking.privacy import hide_homes, hide_secrets
from src.tracking.wandb_choice import WandbChoice
from src.tracking.wandb_run import open_wandb


def test_secrets_are_hidden_however_they_come(monkeypatch):
    monkeypatch.setenv("MY_TOKEN", "tok-en.with.dots")
    monkeypatch.setenv("WANDB_API_KEY", "short-key")
    words = [
        "train.py",
        "--api_key",
        "abc",
        "--key=abc",
        "password=abc",
        "0123456789abcdef" * 3,
        "url?t=tok-en.with.dots",
    ]
    words += ["short-key", "--out", "runs", "keys", "num_tokens=64", "--retry_failed"]
    hidden = ["train.py", "--api_key", "***", "--key=***", "password=***", "***", "url?t=***"]
    assert hide_secrets(words) == [*hidden, "***", "--out", "runs", "keys", "num_tokens=64", "--retry_failed"]


@pytest.mark.parametrize(
    ("word", "hidden"),
    [
        ("db.password=abc", "db.password=***"),
        ("+token=abc", "+token=***"),
        ("++wandb.api_key=abc", "++wandb.api_key=***"),
        ("~auth=abc", "~auth=***"),
        ("dataset.data_dir=https://user:pw@host/data", "dataset.data_dir=https://***@host/data"),
        ("git+ssh://me:pw@host", "git+ssh://***@host"),
        ("Authorization: Bearer abc.def", "Authorization: Bearer ***"),
        ("dataset.tokenize=true", "dataset.tokenize=true"),
        ("model.layer.lr=1e-3", "model.layer.lr=1e-3"),
        ("a:b", "a:b"),
        ("user@host", "user@host"),
    ],
)
def test_secrets_in_one_word(word, hidden):
    assert hide_secrets([word]) == [hidden]


@pytest.mark.parametrize("option", ["--auth", "--password", "--access-token", "-token"])
def test_the_word_behind_an_option_is_hidden(option):
    assert hide_secrets([option, "abc", "--out", "runs"]) == [option, "***", "--out", "runs"]


@pytest.mark.parametrize(
    ("value", "hidden"),
    [
        ("/home/ada/data", "~/data"),
        ("/Users/ada/data", "~/data"),
        ("/root", "~"),
        ("/here/is/mine/runs", "~/runs"),
        ("train.ckpt=/here/is/mine/a.pt", "train.ckpt=~/a.pt"),
        ("/here/is/mineral", "/here/is/mineral"),
        ("/data/home/x", "/data/home/x"),
        ("runs/home/x", "runs/home/x"),
        (3, 3),
        (None, None),
    ],
)
def test_a_home_folder_is_a_tilde(value, hidden, monkeypatch):
    monkeypatch.setattr(Path, "home", lambda: Path("/here/is/mine"))
    assert hide_homes({"a": [value]}) == {"a": [hidden]}


def test_without_a_home_the_usual_ones_are_hidden(monkeypatch):
    def nowhere():
        raise RuntimeError

    monkeypatch.setattr(Path, "home", nowhere)
    assert hide_homes("/home/ada/x") == "~/x"


def test_the_mirror_is_told_no_home(monkeypatch, tmp_path):
    sent = {}
    fake = types.SimpleNamespace(init=lambda **options: sent.update(options), Settings=lambda **_: None)
    monkeypatch.setitem(sys.modules, "wandb", fake)
    config = {"dataset": {"data_dir": "/home/ada/data"}, "train": {"ckpt": "/home/ada/best.pt", "seed": 1}}
    open_wandb(
        WandbChoice("offline"), tmp_path, name="x train.ckpt=/home/ada/best.pt", group="g", config=config, warn=print
    )
    assert sent["name"] == "x train.ckpt=~/best.pt"
    assert sent["config"] == {"dataset": {"data_dir": "~/data"}, "train": {"ckpt": "~/best.pt", "seed": 1}}
