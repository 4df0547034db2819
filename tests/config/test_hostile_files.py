"""Files that no config should be: each is one line, for the scripts' own reader and for train.py's composition."""

from argparse import ArgumentTypeError

import pytest
from omegaconf import OmegaConf

from src.config import build, expand_grid, load_yaml, parse_assignments
from src.errors import UserError
from src.experiments.classify.compose import compose_all
from src.experiments.classify.config import Adam, parse
from src.sweep.cli import seed_list

LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 10)}]\n" for before, name in zip("abcdefg", "bcdefgh", strict=True)
)
HOSTILE = {
    "holds itself, a list": "a: &x [*x]\n",
    "holds itself, a mapping": "a: &x {b: *x}\n",
    "nested deeply": f"a: {'[' * 3000}{']' * 3000}\n",
    "nested too deeply for a config": f"a: {'[' * 40}{']' * 40}\n",
    "aliases of aliases": LAUGHS,
    "no date": "a: 2024-13-45\n",
    "thousands of digits": f"a: {'9' * 5000}\n",
    "too many digits": f"a: {'9' * 30}\n",
    "a number as key": "1: 2\n",
    "a list as key": "? [1, 2]\n: 3\n",
    "null as key": "null: 2\n",
    "bytes": "a: !!binary aGVsbG8=\n",
    "a Python object": "a: !!python/object/apply:os.system [echo]\n",
    "a set": "a: !!set {x, y}\n",
    "a tab": "a:\n\tb: 1\n",
    "NUL": "a: \0\n",
    "a secret of the environment": "a: ${oc.env:HOME}\n",
    "a decoded secret": "a: '${oc.decode:${oc.env:HOME}}'\n",
    "an interpolation to nowhere": "a: ${nowhere}\n",
    "an interpolation of itself": "a: ${a}\n",
    "a list": "- 1\n",
    "text": "hello\n",
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_file_is_one_line(text, tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_bytes(text.encode())
    with pytest.raises(UserError) as caught:
        load_yaml(file)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_experiment_is_one_line(text, tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_bytes(b"# @package _global_\n" + text.encode())
    with pytest.raises(UserError) as caught:
        compose_all([f"experiment={file}"])
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize("content", [b"a: \xff\xfe", b"\x80" * 100, bytes(range(256))])
def test_a_file_that_is_no_text(content, tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_bytes(content)
    for read in (load_yaml, lambda path: compose_all([f"experiment={path}"])):
        with pytest.raises(UserError, match="cannot be read") as caught:
            read(file)
        assert "\n" not in str(caught.value)


WORDS = ["${oc.env:HOME}", "[" * 3000, "2024-13-45", "9" * 5000, "!!binary aGVsbG8=", "&x [*x]"]


@pytest.mark.parametrize("value", WORDS, ids=lambda value: value[:20])
def test_hostile_words_are_one_line(value, monkeypatch):
    """As a word, what is no YAML is text, which the type of the key refuses."""
    monkeypatch.setenv("HOME", "/a/secret/place")
    for read in (
        lambda: build(Adam, parse_assignments([f"lr={value}"])),
        lambda: parse(compose_all([f"optimizer.lr={value}"])[0].config),
    ):
        with pytest.raises(UserError, match=r"^[^\n]+$") as caught:
            read()
        assert "secret" not in str(caught.value)


SECRET = "a-secret-of-the-environment"
SPELT = {
    "a default": "defaults:\n  - /pipeline: ${oc.env:SECRET}\n",
    "an escaped default": 'defaults:\n  - /pipeline: "$\\u007boc.env:SECRET}"\n',
    "an override": 'defaults:\n  - override /optimizer: "$\\x7boc.env:SECRET}"\n',
    "the name of the resolver elsewhere": "a: ${${b}:SECRET}\nb: oc.env\n",
    "decoded": 'a: "$\\u007boc.decode:$\\u007boc.env:SECRET}}"\n',
    "selected": 'a: "$\\u007boc.select:b,1}"\n',
    "a file's default": "defaults:\n  - theirs\n",
    "Hydra's own": 'a: "$\\u007bhydra:runtime.cwd}"\n',
}


@pytest.mark.parametrize("text", SPELT.values(), ids=SPELT)
def test_no_spelling_of_a_resolver_reads_the_environment(text, tmp_path, monkeypatch):
    monkeypatch.setenv("SECRET", SECRET)
    (tmp_path / "theirs.yaml").write_text('# @package _global_\ndefaults:\n  - /pipeline: "$\\u007boc.env:SECRET}"\n')
    file = tmp_path / "mine.yaml"
    file.write_text("# @package _global_\n" + text)
    with pytest.raises(UserError, match=r"^[^\n]+$") as caught:
        compose_all([f"experiment={file}"])
    assert SECRET not in str(caught.value)
    if "defaults" not in text:
        with pytest.raises(UserError, match=r"^[^\n]+$"):
            load_yaml(file)
    assert OmegaConf.create({"a": "${oc.env:SECRET}"}).a == SECRET  # who imports the suite keeps theirs


SWEPT = ["range(0,1000000000)", "range(1,1e400)", "range(0,1,0)", "range(0.0,1.0,0.0)", "range(5,1)", "interval(0,1)", "glob(*)",
         "shuffle(1,2)", "shuffle(range(1,1000000000))"]  # fmt: skip


@pytest.mark.parametrize("value", SWEPT)
def test_a_sweep_that_has_no_end_or_no_order_is_one_line(value):
    for read in (
        lambda: parse_assignments([f"lr={value}"]),
        lambda: compose_all(["experiment=smoke/digits", f"optimizer.lr={value}"], multirun=True),
    ):
        with pytest.raises(UserError, match=r"^[^\n]+expected [^\n]+$"):
            read()


def test_a_grid_larger_than_any_machine_is_one_line():
    with pytest.raises(UserError, match="at most 100,000"):
        expand_grid({}, {str(key): list(range(100)) for key in range(400)})
    with pytest.raises(UserError, match="at most 100,000"):
        compose_all(["experiment=smoke/digits", *(f"a{i}=range(0,1000)" for i in range(30))], multirun=True)
    with pytest.raises(ArgumentTypeError, match="expected how many seeds"):
        seed_list("99999999999")


def test_plain_interpolation_stays(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text(
        "# @package _global_\ndefaults:\n  - /pipeline: digits\n  - /model: s4\nmodel:\n  d_model: 8\n  layer:\n    n_ssm: ${..d_model}\n"
    )
    assert compose_all([f"experiment={file}"])[0].config["model"]["layer"]["n_ssm"] == 8
