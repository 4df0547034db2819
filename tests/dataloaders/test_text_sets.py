"""Token sets: small files of the exact layouts, against encodings made by hand."""

import json
import pickle
from collections import Counter
from functools import partial
from multiprocessing import get_context

import pytest
import torch

from src.dataloaders import load
from src.dataloaders.cache import cached
from src.dataloaders.tokens import Characters, TokenSequences, Words, build_tokens, read_vocabulary
from src.errors import UserError

REVIEWS = {"neg": ["bad bad film", "aaaa"], "pos": ["good film\u00e9", "x" * 50]}


@pytest.fixture
def imdb_dir(tmp_path):
    for split in ("train", "test"):
        for label, texts in REVIEWS.items():
            folder = tmp_path / "aclImdb" / split / label
            folder.mkdir(parents=True)
            for i, text in enumerate(texts):
                (folder / f"{i}_7.txt").write_text(text if split == "train" else text + "?", encoding="utf-8")
    return tmp_path


def decode(splits, row, length):
    return [splits.vocabulary[token] for token in row[:length]]


def test_imdb_vocabulary_truncation_and_padding(imdb_dir):
    splits = load("imdb", data_dir=str(imdb_dir), l_max=20, min_freq=3)
    counts = Counter("".join(text[:19] for texts in REVIEWS.values() for text in texts))
    kept = sorted((char for char, n in counts.items() if n >= 3), key=lambda char: (-counts[char], char))
    assert splits.vocabulary == ("<pad>", "<unk>", "<eos>", *kept)
    x, y, lengths = splits.train.batch(torch.tensor([3, 2, 1]))
    assert x.shape == (3, 20)  # the longest is cut to 19 characters and the end symbol
    assert lengths.tolist() == [20, 11, 5]
    assert y.tolist() == [1, 1, 0]
    assert decode(splits, x[0], 20) == ["x"] * 19 + ["<eos>"]
    assert decode(splits, x[2], 5) == ["a"] * 4 + ["<eos>"]
    assert x[2, 5:].eq(0).all()
    assert "<unk>" in decode(splits, x[1], 11)  # the accented letter is rare
    assert (splits.n_classes, splits.d_input, splits.l_max) == (2, None, 20)


def test_imdb_protocols(imdb_dir):
    lra = load("imdb", data_dir=str(imdb_dir), min_freq=1)
    assert lra.val is lra.test
    assert "test split doubles as validation" in lra.note
    holdout = load("imdb", data_dir=str(imdb_dir), min_freq=1, protocol="holdout", val_split=0.25)
    assert (len(holdout.train), len(holdout.val), len(holdout.test)) == (3, 1, 4)
    assert sorted([*holdout.train.indices.tolist(), *holdout.val.indices.tolist()]) == [0, 1, 2, 3]
    with pytest.raises(UserError, match="did you mean 'holdout'"):
        load("imdb", data_dir=str(imdb_dir), protocol="holdot")


def test_a_symbol_of_the_test_split_alone_is_unknown(imdb_dir):
    splits = load("imdb", data_dir=str(imdb_dir), min_freq=1)
    x, _, lengths = splits.test.batch(torch.tensor([1]))
    assert decode(splits, x[0], lengths[0]) == ["a", "a", "a", "a", "<unk>", "<eos>"]


LISTOPS = [
    "( ( ( ( [MAX 2 ) 9 ) ( ( ( [MIN 4 ) 7 ) ] ) ) ] )\t9",
    "( ( ( [SM 8 ) 5 ) ] )\t3",
    "( ( ( [MED 1 ) 4 ) ] )\t2",
]


@pytest.fixture
def listops_dir(tmp_path):
    folder = tmp_path / "listops"
    folder.mkdir()
    for split in ("train", "val", "test"):
        (folder / f"basic_{split}.tsv").write_bytes(("\r\n".join(["Source\tTarget", *LISTOPS]) + "\r\n").encode())
    return folder


def test_listops_tokens(listops_dir):
    splits = load("listops", data_dir=str(listops_dir))
    x, y, lengths = splits.val.batch(torch.tensor([0, 1]))
    assert decode(splits, x[0], lengths[0]) == ["[MAX", "2", "9", "[MIN", "4", "7", "]", "]", "<eos>"]
    assert decode(splits, x[1], lengths[1]) == ["[SM", "8", "5", "]", "<eos>"]
    assert y.tolist() == [9, 3]
    assert len(splits.vocabulary) == 3 + 4 + 1 + 7  # the seven digits that occur
    assert splits.n_classes == 10


@pytest.mark.parametrize("line", ["no tab", "( [MAX\t12", "\t3", "( [MAX 1 ) ] )\tx"])
def test_listops_bad_line_is_named(listops_dir, line):
    (listops_dir / "basic_val.tsv").write_text(f"Source\tTarget\n{LISTOPS[0]}\n{line}\n")
    with pytest.raises(UserError, match=r"basic_val\.tsv:3"):
        load("listops", data_dir=str(listops_dir))


def test_aan_pairs_are_padded_to_one_length(tmp_path):
    rows = ['1\ta1\tb1\tdeep "nets\tshort', "0\ta2\tb2\tx\ta long document"]
    for split in ("train", "eval", "test"):
        (tmp_path / f"new_aan_pairs.{split}.tsv").write_text("\n".join(rows) + "\n")
    splits = load("aan", data_dir=str(tmp_path), l_max=12)
    x, y, lengths = splits.test.batch(torch.tensor([1, 0]))
    assert x.shape == (2, 2, 12)
    assert lengths.tolist() == [[2, 12], [11, 6]]
    assert y.tolist() == [0, 1]
    assert decode(splits, x[1, 0], 11) == [*'deep "nets', "<eos>"]
    assert decode(splits, x[0, 1], 12) == [*"a long docu"[:11], "<eos>"]
    assert x[0, 0, 2:].eq(0).all()
    (tmp_path / "new_aan_pairs.eval.tsv").write_text("1\tonly\tthree\n")
    with pytest.raises(UserError, match=r"eval\.tsv:1"):
        load("aan", data_dir=str(tmp_path), l_max=12)


def test_words_and_characters_agree(tmp_path):
    texts = [("a b a c", 0), ("c a", 1)]
    for name, symbols in (("words", Words(str)), ("chars", Characters())):
        folder = tmp_path / name
        folder.mkdir()
        examples = [((text if name == "words" else text.replace(" ", ""),), y) for text, y in texts]
        build_tokens(folder, {"train": lambda examples=examples: examples}, symbols, 10)
    one, two = (TokenSequences(tmp_path / name, "train").batch(torch.arange(2)) for name in ("words", "chars"))
    assert all(torch.equal(a, b) for a, b in zip(one, two, strict=True))
    assert read_vocabulary(tmp_path / "words")[3:] == ("a", "c", "b")


def test_large_vocabularies_keep_every_symbol(tmp_path):
    text = "".join(map(chr, range(1000, 1600)))
    build_tokens(tmp_path, {"train": lambda: [((text,), 0)]}, Characters(), 10_000)
    vocabulary = read_vocabulary(tmp_path)
    x = TokenSequences(tmp_path, "train").batch(torch.tensor([0])).x
    assert "".join(vocabulary[token] for token in x[0, :-1]) == text


def test_changed_settings_or_files_make_a_new_cache(imdb_dir):
    first = load("imdb", data_dir=str(imdb_dir), min_freq=1)
    assert load("imdb", data_dir=str(imdb_dir), min_freq=3).vocabulary != first.vocabulary
    (imdb_dir / "aclImdb" / "train" / "pos" / "9_9.txt").write_text("QQQ")
    again = load("imdb", data_dir=str(imdb_dir), min_freq=1)
    assert len(again.train) == 5
    assert "Q" in again.vocabulary


def test_no_pickle_in_the_cache(imdb_dir):
    load("imdb", data_dir=str(imdb_dir), min_freq=1)
    files = [path for path in (imdb_dir / "aclImdb" / ".cache").rglob("*") if path.is_file()]
    assert {path.suffix for path in files} == {".npy", ".json", ".lock"}
    assert all(b"\x80\x04" not in path.read_bytes()[:2] for path in files)


def test_workers_get_the_path_and_not_the_data(imdb_dir):
    train = load("imdb", data_dir=str(imdb_dir), min_freq=1).train
    train.batch(torch.tensor([0]))
    data = pickle.dumps(train)
    assert len(data) < 2000
    assert torch.equal(pickle.loads(data).batch(torch.tensor([2])).x, train.batch(torch.tensor([2])).x)


def _count_build(log, folder):
    with open(log, "a") as file:
        file.write("built\n")
    (folder / "made.json").write_text(json.dumps(1))


def _use_cache(source, log):
    cached(source, "thing", {"a": 1}, partial(_count_build, log))


def test_two_processes_build_once(tmp_path):
    context, log = get_context("fork"), tmp_path / "log"
    workers = [context.Process(target=_use_cache, args=(tmp_path, log)) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert log.read_text() == "built\n"


def test_a_killed_build_is_done_again(tmp_path):
    def fail(folder):
        (folder / "half.npy").write_bytes(b"torn")
        raise RuntimeError("killed")

    with pytest.raises(RuntimeError):
        cached(tmp_path, "thing", {}, fail)
    folder = cached(tmp_path, "thing", {}, lambda folder: (folder / "whole.npy").write_bytes(b"ok"))
    assert [path.name for path in folder.iterdir()] == ["whole.npy"]
