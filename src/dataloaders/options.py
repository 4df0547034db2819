"""What the options of data sets have in common; fields are the keys of `dataset.*`."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from torch import Tensor

from ..errors import UserError
from .base import random_split
from .layout import Layout


@dataclass(frozen=True, kw_only=True)
class Place:
    """data_dir: the set's own place; None looks under the data root. `layout` says what lies there."""

    layout: ClassVar[Layout]
    data_dir: str | None = None

    def find(self) -> Path:
        """Returns the folder of the set. Raises UserError if its files are not there; says how to get them."""
        return self.layout.find(self.data_dir)

    def files(self) -> dict[str, Path]:
        """Returns the user's own files that options name and that are there, by option: another content is another run."""
        return {}

    def __post_init__(self) -> None:
        """Checks the values; a subclass adds its own."""


@dataclass(frozen=True, kw_only=True)
class HoldOut(Place):
    """val_split: share of the training examples that is held out for validation, drawn with `seed`."""

    val_split: float = 0.1
    seed: int = 42

    def __post_init__(self) -> None:
        super().__post_init__()
        check_fractions(val_split=self.val_split)
        check_seed(self.seed)


@dataclass(frozen=True, kw_only=True)
class ThreeWay(HoldOut):
    """A set that comes in one piece: val_split and test_split are shares of it."""

    test_split: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        check_fractions(val_split=self.val_split, test_split=self.test_split)

    def split(self, n: int) -> list[Tensor]:
        """Returns the indices for training, validation and test of n examples."""
        n_val, n_test = int(self.val_split * n), int(self.test_split * n)
        return random_split(n, [n - n_val - n_test, n_val, n_test], self.seed)


@dataclass(frozen=True, kw_only=True)
class Texts(Place):
    """l_max: longest sequence of tokens, the end symbol included."""

    l_max: int

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 2 <= self.l_max < 1 << 31:
            raise UserError(f"dataset.l_max = {self.l_max}: expected 2 to {(1 << 31) - 1:,}")


def check_fractions(**fractions: float) -> None:
    """Raises UserError unless every fraction lies in (0, 1) and they leave something over."""
    for name, value in fractions.items():
        if not 0 < value < 1:
            raise UserError(f"dataset.{name} = {value} is not between 0 and 1")
    if sum(fractions.values()) >= 1:
        raise UserError(f"dataset: {' + '.join(fractions)} = {sum(fractions.values()):g} leaves nothing to train on")


def check_seed(seed: int) -> None:
    """Raises UserError for a seed that random numbers cannot start from."""
    if not 0 <= seed < 1 << 63:
        raise UserError(f"dataset.seed = {seed}: expected a whole number from 0 to 2**63 - 1")
