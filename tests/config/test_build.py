"""A mapping becomes a dataclass, or a line that says which key is wrong and what was expected."""

from dataclasses import dataclass
from typing import Annotated, Literal

import pytest

from src.config import Count, Range, build
from src.errors import UserError, shown


@dataclass(frozen=True)
class Toy:
    N: int
    lr: float
    L: int | str = "N"
    optimizer: Literal["adam", "adamw", 3] = "adam"
    flag: bool = False
    decay: float | None = None
    radii: tuple[float, ...] = ()
    pair: tuple[int, str] = (0, "")
    names: list[str] | None = None
    share: Annotated[float, Range(0, 1, above=True)] = 1.0
    limit: Annotated[float, Range(0, 1)] | Count = 1.0

    def __post_init__(self) -> None:
        if self.N < 1:
            raise UserError(f"N = {self.N} must be at least 1")


def toy(**values: object) -> Toy:
    return build(Toy, {"N": 1, "lr": 0.1} | values, "toy.yaml")


@pytest.mark.parametrize(
    ("key", "given", "built"),
    [
        ("N", 3.0, 3),
        ("N", 1e3, 1000),
        ("lr", 1, 1.0),
        ("L", 64, 64),
        ("L", 64.0, 64),
        ("L", "N", "N"),
        ("L", "64", "64"),
        ("optimizer", "adamw", "adamw"),
        ("optimizer", 3, 3),
        ("flag", True, True),
        ("decay", None, None),
        ("decay", 0, 0.0),
        ("radii", [1, 0.5], (1.0, 0.5)),
        ("pair", [2, "a"], (2, "a")),
        ("names", ["a"], ["a"]),
        ("share", 1, 1.0),
        ("limit", 1, 1),
        ("limit", 1.0, 1.0),
        ("limit", 10, 10),
    ],
)
def test_values_that_fit(key, given, built):
    value = getattr(toy(**{key: given}), key)
    assert value == built
    assert type(value) is type(built)


@pytest.mark.parametrize(
    ("key", "given", "message"),
    [
        ("N", 3.5, "N = 3.5 is not a whole number"),
        ("N", "3", "N = '3' is not a whole number"),
        ("N", True, "N = True is not a whole number"),
        ("N", float("nan"), "N = nan is not a whole number"),
        ("N", float("inf"), "N = inf is not a whole number"),
        ("N", None, "N = None is not a whole number"),
        ("N", [32, 64], "N = [32, 64] is not a whole number; a list of values can only be given for a swept key"),
        ("lr", float("inf"), "lr = inf is not a number; it must be finite"),
        ("N", 2**53 + 1, "N = 9007199254740993 is not a whole number"),
        ("N", 10**5000, "N = a number of thousands of digits is not a whole number"),
        ("N", 1e300, "N = 1e+300 is not a whole number"),
        ("share", 0.0, "share = 0.0 is not a number above 0 and of at most 1"),
        ("share", 1.5, "share = 1.5 is not a number above 0 and of at most 1"),
        ("lr", "abc", "lr = 'abc' is not a number"),
        ("lr", False, "lr = False is not a number"),
        ("L", 1.5, "L = 1.5 is not a whole number or text"),
        ("optimizer", "adamv", "optimizer = 'adamv' is not one of: adam, adamw, 3; did you mean 'adam"),
        ("optimizer", 3.0, "optimizer = 3.0 is not one of: adam, adamw, 3"),
        ("flag", 1, "flag = 1 is not true or false"),
        ("decay", "none", "decay = 'none' is not a number or null"),
        ("radii", 1.0, "radii = 1.0 is not a list (a number, ...)"),
        ("radii", ["a"], "radii = ['a'] is not a list (a number, ...)"),
        ("pair", [1], "pair = [1] is not a list (a whole number, text)"),
        ("optimiser", 1, "unknown key 'optimiser'; did you mean 'optimizer'?"),
        (3, 1, "unknown key '3'; expected one of: L, N"),
        ("N", 0, "N = 0 must be at least 1"),
    ],
    ids=shown,
)
def test_values_that_do_not_fit(key, given, message):
    with pytest.raises(UserError) as error:
        toy(**{key: given}) if isinstance(key, str) else build(Toy, {key: given}, "toy.yaml")
    assert message in str(error.value)
    assert "\n" not in str(error.value)
    if key != "N" or given != 0:
        assert str(error.value).startswith("toy.yaml: ")


@pytest.mark.parametrize("mapping", [None, [1], 3, "text", True])
def test_a_section_that_is_no_mapping(mapping):
    with pytest.raises(UserError, match=r"toy\.yaml = .* is not a mapping of keys to values"):
        build(Toy, mapping, "toy.yaml")


def test_a_missing_key_is_named_with_its_type():
    with pytest.raises(UserError, match=r"toy\.yaml: missing key 'lr' \(expected a number\)"):
        build(Toy, {"N": 1}, "toy.yaml")


def test_a_type_that_cannot_be_checked_is_a_defect():
    @dataclass
    class Odd:
        items: dict

    with pytest.raises(TypeError, match="does not know the type"):
        build(Odd, {"items": {}})
