"""A user's own file: every format against values made by hand, the split, the normalisation, and one line for what cannot be used."""

import json
from collections import Counter

import numpy as np
import pytest
import torch

from src.dataloaders import __main__ as cli
from src.dataloaders import load, summarize
from src.dataloaders.own.split import stratified
from src.errors import UserError

RNG = np.random.default_rng(0)
X = RNG.normal(3.0, 2.0, (60, 20))
Y = np.arange(60) % 3


def everything(splits):
    """x, y and lengths of all examples in the order train, val, test."""
    batches = [part.batch(torch.arange(len(part))) for part in (splits.train, splits.val, splits.test)]
    return batches, [part.indices.numpy() for part in (splits.train, splits.val, splits.test)]


def write(path, text):
    path.write_text(text, encoding="utf-8")
    return str(path)


def wide(path, rows=X, labels=Y, header=True, separator=","):
    lines = [separator.join(["label", *map(str, range(rows.shape[1]))])] if header else []
    lines += [
        separator.join([str(label), *map(repr, map(float, row))]) for row, label in zip(rows, labels, strict=True)
    ]
    return write(path, "\n".join(lines) + "\n")


def test_the_same_sequences_in_every_format_give_the_same_splits(tmp_path):
    np.savez(tmp_path / "a.npz", x=X, y=Y)
    long = [
        "id,time,value,label",
        *(f"s{i},{t},{float(X[i, t])!r},{Y[i]}" for t in reversed(range(20)) for i in range(60)),
    ]
    paths = [
        str(tmp_path / "a.npz"),
        wide(tmp_path / "b.csv"),
        wide(tmp_path / "c.tsv", header=False, separator="\t"),
        wide(tmp_path / "d.csv", separator=";"),
        write(tmp_path / "e.csv", "\ufeff" + "\n".join(long)),
    ]
    first, indices = everything(load("file", path=paths[0]))
    for path in paths[1:]:
        batches, others = everything(load("file", path=path))
        assert all(map(np.array_equal, indices, others))
        for one, other in zip(first, batches, strict=True):
            assert torch.equal(one.x, other.x)
            assert torch.equal(one.y, other.y)
            assert one.lengths is other.lengths is None


def test_normalisation_comes_from_the_training_part_alone(tmp_path):
    x = np.stack([X, 100 * X + 7], axis=-1)
    np.savez(tmp_path / "a.npz", x=x, y=Y)
    splits = load("file", path=str(tmp_path / "a.npz"))
    train = splits.train.batch(torch.arange(len(splits.train))).x.double().flatten(0, 1)
    torch.testing.assert_close(train.mean(0), torch.zeros(2, dtype=torch.float64), atol=1e-6, rtol=0)
    torch.testing.assert_close(train.std(0, correction=0), torch.ones(2, dtype=torch.float64), atol=1e-6, rtol=0)
    known = x[splits.train.indices.numpy()].reshape(-1, 2)
    expected = (x[splits.test.indices.numpy()] - known.mean(0)) / known.std(0)
    np.testing.assert_allclose(splits.test.batch(torch.arange(len(splits.test))).x.numpy(), expected, rtol=1e-5)
    plain = load("file", path=str(tmp_path / "a.npz"), normalize=False)
    np.testing.assert_allclose(plain.test[0][0].numpy(), x[int(plain.test.indices[0])], rtol=1e-6)
    assert (splits.n_classes, splits.d_input, splits.l_max, splits.classes) == (3, 2, 20, ("0", "1", "2"))


def test_sequences_of_different_lengths_are_padded_after_scaling(tmp_path):
    rows = ["label,a,b,c,d", *(f"x,{i},{i + 1}" + (",," if i % 2 else f",{i},{2 * i}") for i in range(10))]
    rows += [f"y,{i},1,2,3" for i in range(10)]
    splits = load("file", path=write(tmp_path / "a.csv", "\n".join(rows)))
    for part in (splits.train, splits.val, splits.test):
        x, _, lengths = part.batch(torch.arange(len(part)))
        assert x.shape[1] == lengths.max()
        assert set(lengths.tolist()) <= {2, 4}
        assert (x[torch.arange(x.shape[1]) >= lengths[:, None]] == 0).all()
    assert splits.classes == ("x", "y")
    assert summarize(splits)["train"]["lengths"][0] == 2


def test_texts(tmp_path):
    lines = [
        json.dumps({"text": "ab" * (i + 1) + ("z" if i == 0 else ""), "label": ["no", "yes"][i % 2]}) for i in range(20)
    ]
    splits = load("file", path=write(tmp_path / "a.jsonl", "\n".join(lines)), l_max=9)
    assert (splits.n_classes, splits.d_input, splits.classes) == (2, None, ("no", "yes"))
    x, y, lengths = splits.train.batch(torch.arange(len(splits.train)))
    assert x.shape[1] <= 9
    row = int((splits.train.indices == splits.train.indices.max()).nonzero())
    assert [splits.vocabulary[token] for token in x[row, : lengths[row]]] == [*"abababab", "<eos>"]
    assert int(y[row]) == int(splits.train.indices[row]) % 2
    assert summarize(splits)["vocabulary"] == len(splits.vocabulary)


def test_numbers_as_labels_are_standardised_by_the_training_part(tmp_path):
    y = np.linspace(-3, 11, 60) ** 2 + 0.5
    np.savez(tmp_path / "a.npz", x=X, y=y)
    splits = load("file", path=str(tmp_path / "a.npz"))
    known = y[splits.train.indices.numpy()]
    assert splits.n_classes is None
    assert splits.target == (pytest.approx(known.mean()), pytest.approx(known.std()))
    batch = splits.test.batch(torch.arange(len(splits.test)))
    assert batch.y.dtype == torch.float32
    np.testing.assert_allclose(batch.y.numpy() * known.std() + known.mean(), y[splits.test.indices.numpy()], rtol=1e-4)


@pytest.mark.parametrize(
    ("labels", "options", "n_classes"),
    [
        ([1.0, 2.0] * 30, {}, 2),
        ([True, False] * 30, {}, 2),
        (["a", "b", "c"] * 20, {}, 3),
        ([0.5, 1.5] * 30, {}, None),
        ([1, 2] * 30, {"target": "number"}, None),
        ([0.5, 1.5] * 30, {"target": "class"}, 2),
    ],
)
def test_classes_or_numbers_by_the_labels(tmp_path, labels, options, n_classes):
    np.savez(tmp_path / "a.npz", x=X, y=np.array(labels))
    assert load("file", path=str(tmp_path / "a.npz"), **options).n_classes == n_classes


@pytest.mark.parametrize("seed", range(5))
def test_every_part_has_its_share_of_each_class(seed):
    labels = np.repeat(np.arange(4), [203, 50, 31, 7])
    val, test, train = stratified(labels, (0.1, 0.2), seed)
    assert sorted(np.concatenate([val, test, train]).tolist()) == list(range(len(labels)))
    for part, share in ((val, 0.1), (test, 0.2), (train, 0.7)):
        counts = np.bincount(labels[part], minlength=4)
        assert (np.abs(counts - share * np.bincount(labels)) <= 2).all()
    again = stratified(labels, (0.1, 0.2), seed)
    assert all(map(np.array_equal, (val, test, train), again))
    assert not np.array_equal(val, stratified(labels, (0.1, 0.2), seed + 100)[0])


def test_the_split_of_the_file_is_kept(tmp_path):
    order = RNG.permutation(60)
    np.savez(tmp_path / "a.npz", x=X, y=Y, train=order[:40], test=order[40:])
    splits = load("file", path=str(tmp_path / "a.npz"), val_split=0.25)
    assert sorted(splits.test.indices.tolist()) == sorted(order[40:].tolist())
    both = torch.cat([splits.train.indices, splits.val.indices])
    assert sorted(both.tolist()) == sorted(order[:40].tolist())
    assert len(splits.val) == 10
    np.savez(tmp_path / "b.npz", x=X, y=Y, train=order[:30], val=order[30:40], test=order[40:50])
    sizes = [len(part) for part in (lambda s: (s.train, s.val, s.test))(load("file", path=str(tmp_path / "b.npz")))]
    assert sizes == [30, 10, 10]


def test_two_files_are_training_and_test(tmp_path):
    train, test = (
        wide(tmp_path / "X_TRAIN.tsv", X[:40], Y[:40], False, "\t"),
        wide(tmp_path / "X_TEST.tsv", X[40:], Y[40:], False, "\t"),
    )
    splits = load("file", path=train, test_path=test)
    assert splits.test.indices.tolist() == list(range(40, 60))
    assert (len(splits.train), len(splits.val)) == (36, 4)
    assert "split of the two files" in splits.note


def test_dates_order_the_steps_of_a_long_table(tmp_path):
    rows = ["id,time,a,b,label"]
    for i in range(12):
        rows += [f"{i},2024-01-02,2,{i},{i % 2}", f"{i},2024-01-01T12:00:00,1,{i},{i % 2}"]
    splits = load("file", path=write(tmp_path / "a.csv", "\n".join(rows)), normalize=False)
    assert splits.train[0][0][:, 0].tolist() == [1, 2]
    assert splits.d_input == 2


def archive_file(path, x, y, header="@classLabel true 0 1 2"):
    """x: (N, L, C). As the UEA and UCR archives have it."""
    rows = [
        ":".join(",".join(map(repr, map(float, channel))) for channel in one.T) + f":{label}"
        for one, label in zip(x, y, strict=True)
    ]
    return write(path, "\n".join(["# made here", "@problemName Toy", "@timeStamps false", header, "@data", *rows]))


def test_archive_files_read_as_arrays_do(tmp_path):
    x = np.stack([X, X**2], axis=-1)
    np.savez(tmp_path / "a.npz", x=x, y=Y)
    (one, _), (other, _) = (
        everything(load("file", path=p)) for p in (str(tmp_path / "a.npz"), archive_file(tmp_path / "a.ts", x, Y))
    )
    for a, b in zip(one, other, strict=True):
        assert torch.equal(a.x, b.x)
        assert torch.equal(a.y, b.y)
    numbers = load("file", path=archive_file(tmp_path / "b.ts", x, Y, "@targetlabel true"))
    assert numbers.n_classes is None


BAD = {
    "none.ts": ("", "no '@data'"),
    "word.ts": ("@x y\nword\n", r"word\.ts:2: expected '@key value'"),
    "class.ts": ("@classLabel true a b\n@data\n1,2:c\n", r"class\.ts:3: label 'c' is not one of"),
    "stamps.ts": ("@timeStamps true\n@classLabel true a\n@data\n(0,1):a\n", "time stamps"),
    "unlabelled.ts": ("@data\n1,2\n", "has no labels"),
    "channels.ts": (
        "@classLabel true a b\n@data\n1,2:3,4:a\n1,2:b\n",
        r"channels\.ts:4: 1 channels and a label, expected 2",
    ),
    "lengths.ts": ("@classLabel true a b\n@data\n1,2:3:a\n", "channels of different lengths"),
    "cell.ts": ("@classLabel true a b\n@data\n1,x:a\n", r"cell\.ts:3: expected numbers between commas"),
    "gap.ts": ("@classLabel true a b\n@data\n1,2:a\n1,?:b\n", "missing or not finite: line 4, step 2"),
    "number.ts": ("@targetLabel true\n@data\n1,2:a\n", "a number as label"),
    "empty.csv": ("", "is empty, expected a table"),
    "cell.csv": ("label,a,b\nx,1,2\ny,1,oops\n", r"cell\.csv:3: b: expected a number, found 'oops'"),
    "width.csv": ("label,a,b\nx,1,2\ny,1\n", r"width\.csv:3: 2 cells, but 3 columns"),
    "gap.csv": ("label,a,b,c\nx,1,2,3\ny,1,,3\nx,nan,2,3\n", r"missing or not finite: line 3, b \(and 1 more\)"),
    "inf.csv": ("label,a,b\nx,1,inf\ny,1,2\n", "missing or not finite: line 2, b"),
    "nolabel.csv": ("a,b\n1,2\n", "which column is the label\\?"),
    "unlabelled.csv": ("label,a,b\n,1,2\n", r"unlabelled\.csv:2: no label"),
    "id.csv": ("id,a,label\n1,2,x\n", "a column 'id' but none 'time'"),
    "change.csv": (
        "id,time,a,label\n1,0,2,x\n1,1,2,y\n",
        r"change\.csv:3: sequence '1' has label 'y' here and 'x' before",
    ),
    "twice.csv": ("id,time,a,label\n1,0,2,x\n1,0,3,x\n", "two rows at time 0"),
    "time.csv": ("id,time,a,label\n1,noon,2,x\n", r"time\.csv:2: time: expected a number or a date"),
    "columns.csv": ("label,a,a\nx,1,2\n", "two columns are called 'a'"),
    "quote.csv": ('label,a\n"x,1\ny,2\n', "expected a table"),
    "one.csv": ("label,a,b\n" + "x,1,2\n" * 20, "every label is x: there is nothing to learn"),
    "few.csv": ("label,a,b\nx,1,2\ny,1,2\nx,1,3\n", "examples are split|no training example"),
    "line.jsonl": ('{"text": "a", "label": 1}\n{"text": 3, "label": 1}\n', r"line\.jsonl:2: expected lines such as"),
    "json.jsonl": ('{"text": "a", "label": 1}\n{"text\n', r"json\.jsonl:2: expected lines such as"),
    "mixed.jsonl": ('{"text": "a", "label": 1}\n{"text": "b", "label": "x"}\n', "labels are text in some lines"),
    "blank.jsonl": ('{"text": "", "label": 1}\n{"text": "b", "label": 2}\n', "example 1 is empty"),
    "none.jsonl": ("\n\n", "no examples"),
    "deep.jsonl": ("[" * 100_000, "expected lines such as"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_used_is_said_in_one_line(tmp_path, name):
    text, message = BAD[name]
    with pytest.raises(UserError, match=message) as error:
        load("file", path=write(tmp_path / name, text))
    assert "\n" not in str(error.value)
    assert name in str(error.value)


GAP = np.where(np.arange(1200).reshape(60, 20) == 45, np.nan, X)
BAD_ARRAYS = {
    "no y": ({"x": X}, "no array 'y'"),
    "typo": ({"x": X, "y": Y, "length": Y}, "unknown array 'length'; did you mean 'lengths'"),
    "shape": ({"x": X[0], "y": Y}, r"x is float64 \(20,\), expected numbers"),
    "labels": ({"x": X, "y": Y[:3]}, r"expected a label for each of the 60"),
    "objects": ({"x": X, "y": np.array([None] * 60)}, "holds Python objects"),
    "gap": ({"x": GAP, "y": Y}, r"x\[2, 5, 0\] is nan"),
    "no label": ({"x": X, "y": np.where(Y == 1, np.nan, Y)}, r"y\[1\] is nan"),
    "lengths": ({"x": X, "y": Y, "lengths": Y}, r"lengths\[0\] = 0, expected 1 to 20"),
    "range": ({"x": X, "y": Y, "train": np.arange(50), "test": np.arange(50, 61)}, "'test' has index 60 of 60"),
    "overlap": (
        {"x": X, "y": Y, "train": np.arange(50), "test": np.arange(40, 60)},
        "an example is in two of the splits",
    ),
    "unseen": (
        {"x": X, "y": Y, "train": np.arange(0, 60, 3), "test": np.arange(1, 60, 3)},
        "class 1 has no training example",
    ),
    "half": ({"x": X, "y": Y, "test": np.arange(40, 60)}, "expected train and test"),
    "many": ({"x": X, "y": np.arange(60)}, "60 different labels of 60 examples; give dataset.target=class or"),
    "large": ({"x": X * 1e300, "y": Y, "train": np.arange(30), "test": np.arange(30, 60)}, None),
}


@pytest.mark.parametrize("name", BAD_ARRAYS)
def test_arrays_that_do_not_fit_are_said_in_one_line(tmp_path, name):
    arrays, message = BAD_ARRAYS[name]
    np.savez(tmp_path / "a.npz", **arrays)
    if message is None:
        found = load("file", path=str(tmp_path / "a.npz")).train
        assert found.batch(torch.arange(len(found))).x.std() == pytest.approx(1, abs=0.01)
        message, options = "too large for float32", {"normalize": False}
    else:
        options = {}
    with pytest.raises(UserError, match=message) as error:
        load("file", path=str(tmp_path / "a.npz"), **options)
    assert "\n" not in str(error.value)
    assert "a.npz" in str(error.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "dataset=file needs dataset.path=FILE"),
        ({"path": "/no/such.csv"}, "no such file"),
        ({"path": "table.xlsx"}, "expected one of .npz, .csv, .tsv, .ts, .jsonl"),
        ({"pth": "a.csv"}, "did you mean 'path'"),
        ({"path": "a.csv", "l_max": 1}, "at least 2"),
    ],
)
def test_options(options, message):
    with pytest.raises(UserError, match=message):
        load("file", **options)


def test_check_says_what_it_sees(tmp_path, capsys):
    path = wide(tmp_path / "a.csv")
    assert cli.main(["check", "file", "--path", path]) == 0
    printed = capsys.readouterr().out
    assert "wide table, 60 sequences of 20 steps, 1 channel: value; missing values: 0" in printed
    assert "3 classes: 0 (20), 1 (20), 2 (20)" in printed
    assert "train / val / test 48 / 6 / 6, stratified random split, seed 42" in printed
    with pytest.raises(
        UserError, match=r"60 sequences of 20 steps.*missing values: 1, the first at line 4, 5; fill them in"
    ) as error:
        cli.main(["check", "file", "--path", wide(tmp_path / "b.csv", GAP)])
    assert "\n" not in str(error.value)
    for words in (["check", "cifar", "--path", path], ["check", "--path", path]):
        with pytest.raises(UserError, match="--path"):
            cli.main(words)


def test_class_shares_and_entropy(tmp_path):
    np.savez(tmp_path / "a.npz", x=X, y=np.repeat([0, 1], [45, 15]))
    splits = load("file", path=str(tmp_path / "a.npz"))
    found = summarize(splits)
    counts = Counter(splits.train.labels.tolist())
    p = np.array([counts[0], counts[1]]) / len(splits.train)
    np.testing.assert_allclose(found["train"]["class_shares"], p)
    assert found["train"]["entropy"] == pytest.approx(float(-(p * np.log(p)).sum()))
    assert json.loads(json.dumps(found)) == found
