"""YAML files and key=value words are typed alike; a grid has every point once, in a stable order."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from src.config import canonical_json, expand_grid, load_yaml, parse_assignments
from src.config.words import quoted
from src.errors import UserError

VALUES = {
    "1e-4": 1e-4,
    "3": 3,
    "3.0": 3.0,
    "true": True,
    "null": None,
    "copy": "copy",
    "'3'": "3",
    "[32, 64]": [32, 64],
    "[1e-3, N]": [1e-3, "N"],
    "2024-01-01": "2024-01-01",
}


@pytest.mark.parametrize(("text", "value"), VALUES.items())
def test_files_and_words_are_typed_alike(tmp_path, text, value):
    (tmp_path / "a.yaml").write_text(f"key: {text}\n")
    for found in (load_yaml(tmp_path / "a.yaml"), parse_assignments([f"key={text}"])):
        assert found == {"key": value}
        assert type(found["key"]) is type(value)


def test_interpolations_are_resolved_and_empty_files_are_empty(tmp_path):
    (tmp_path / "a.yaml").write_text("N: 4\nL: ${N}\n")
    assert load_yaml(tmp_path / "a.yaml") == {"N": 4, "L": 4}
    (tmp_path / "a.yaml").write_text("# nothing yet\n")
    assert load_yaml(tmp_path / "a.yaml") == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: [1\nc: 2\n", r"a\.yaml: line \d: not valid YAML"),
        ("a: 1\na: 2\n", r"a\.yaml: line 2: not valid YAML \(found duplicate key a\)"),
        ("a: 1\n\tb: 2\n", r"a\.yaml: line 2: not valid YAML"),
        ("hello\n", r"a\.yaml: expected a mapping"),
        ("- 1\n- 2\n", r"a\.yaml: expected a mapping"),
        ("3\n", r"a\.yaml: expected a mapping"),
        ("a: ${nowhere}\n", r"a\.yaml: Interpolation key 'nowhere' not found"),
    ],
)
def test_broken_files_are_one_line_with_the_place(tmp_path, text, message):
    (tmp_path / "a.yaml").write_text(text)
    with pytest.raises(UserError, match=message) as error:
        load_yaml(tmp_path / "a.yaml")
    assert "\n" not in str(error.value)


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(UserError, match=r"nowhere\.yaml: no such file"):
        load_yaml(tmp_path / "nowhere.yaml")
    with pytest.raises(UserError, match="is a folder, a pipe or a device"):
        load_yaml(tmp_path)
    (tmp_path / "a.yaml").write_bytes(b"a: \xff")
    with pytest.raises(UserError, match="cannot be read"):
        load_yaml(tmp_path / "a.yaml")


@pytest.mark.parametrize("word", ["lr", "=1", "lr=", "lr= ", "1lr=2", "lr=[1", "l r=1", "", "~lr", "+lr=1"])
def test_malformed_words_are_named(word):
    with pytest.raises(UserError) as error:
        parse_assignments(["N=1", word])
    assert f"'{word}'" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("value", ["a b", "it's", 1e-05, [1, "x y"], None, True, "runs/x.mat", "a,b", "[1"])
def test_a_quoted_value_comes_back(value):
    assert parse_assignments([f"key={quoted(value)}"]) == {"key": value}


def test_commas_span_values_as_a_list_does():
    assert parse_assignments(["N=32,64", "lr=[1e-3]"]) == {"N": [32, 64], "lr": [1e-3]}


def test_a_key_given_twice_is_an_error():
    with pytest.raises(UserError, match="'N=2': N is given twice"):
        parse_assignments(["N=1", "N=2"])


def test_grid_order_single_values_and_duplicates():
    assert expand_grid({"lr": 0.1, "N": 0}, {"N": [32, 64, 32.0], "L": 7, "seed": (0, 1)}) == [
        {"lr": 0.1, "N": 32, "L": 7, "seed": 0},
        {"lr": 0.1, "N": 32, "L": 7, "seed": 1},
        {"lr": 0.1, "N": 64, "L": 7, "seed": 0},
        {"lr": 0.1, "N": 64, "L": 7, "seed": 1},
    ]
    assert expand_grid({"a": 1}, {}) == [{"a": 1}]
    assert expand_grid({}, {"flag": [True, 1]}) == [{"flag": True}, {"flag": 1}]
    with pytest.raises(UserError, match="the swept key 'N' has an empty list"):
        expand_grid({}, {"N": []})


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@given(st.dictionaries(st.text(), PLAIN, max_size=4))
def test_canonical_json_does_not_see_key_order_tuples_or_whole_floats(config):
    def disguise(value):
        if isinstance(value, dict):
            return {key: disguise(value[key]) for key in reversed(list(value))}
        if isinstance(value, list):
            return tuple(disguise(item) for item in value)
        if type(value) is int and float(value) == value and abs(value) < 1e300:
            return float(value)
        return value

    assert canonical_json(disguise(config)) == canonical_json(config)


def test_canonical_json_sees_every_difference():
    different = [{}, {"a": 1}, {"a": True}, {"a": "1"}, {"a": None}, {"a": [1]}, {"a": 1.5}, {"b": 1}, {"a": [[1]]}]
    assert len({canonical_json(config) for config in different}) == len(different)
    with pytest.raises(TypeError, match="config keys must be text"):
        canonical_json({1: 2})
    with pytest.raises(TypeError, match="not JSON serializable"):
        canonical_json({"a": object()})
