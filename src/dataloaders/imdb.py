"""IMDB reviews (Maas et al. 2011), character by character: is a review positive? The Text task of LRA: l_max 4,096, 2 classes.

LRA validates on the test split (`protocol: lra`, the published numbers); `protocol: holdout` validates on a part of the
training split instead.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from ..errors import UserError
from .base import Splits, check_fraction, split_train
from .cache import cached, fingerprint
from .root import find_folder
from .tokens import Characters, Example, TokenSequences, build_tokens, read_vocabulary

NAME = "imdb"
FOLDER = "aclImdb"
SPLITS = ("train", "test")
CLASSES = ("neg", "pos")
PER_FOLDER = 12_500


@dataclass(frozen=True)
class Options:
    """level: characters are the only level of the published runs; val_split and seed count with protocol 'holdout' only."""

    data_dir: str | None = None
    l_max: int = 4096
    level: Literal["char"] = "char"
    min_freq: int = 15
    protocol: Literal["lra", "holdout"] = "lra"
    val_split: float = 0.1
    seed: int = 42

    def __post_init__(self):
        check_fraction(val_split=self.val_split)
        if self.l_max < 2 or self.min_freq < 1:
            raise UserError(
                f"dataset imdb: l_max = {self.l_max} must be at least 2 and min_freq = {self.min_freq} at least 1"
            )


def load(options: Options) -> Splits:
    """Returns 25,000 / 25,000 / 25,000 reviews, validation being the test split, or 22,500 / 2,500 / 25,000 with a holdout."""
    source = find(options)
    folders = [source / split / name for split in SPLITS for name in CLASSES]
    settings = {"l_max": options.l_max, "min_freq": options.min_freq, "source": fingerprint(folders)}
    folder = cached(source, "characters", settings, partial(_build, source, options))
    train, test = (TokenSequences(folder, split) for split in SPLITS)
    if options.protocol == "lra":
        val, note = test, "protocol lra: the test split doubles as validation, as in the published runs"
    else:
        train, val = split_train(train, options.val_split, options.seed)
        note = f"protocol holdout: validation is {len(val):,} of the training reviews, seed {options.seed}"
    return Splits(train, val, test, n_classes=2, l_max=options.l_max, vocabulary=read_vocabulary(folder), note=note)


def find(options: Options) -> Path:
    """Returns the folder that holds `train` and `test`. Raises UserError if one of the four folders of reviews is missing or empty."""
    folder = find_folder(NAME, options.data_dir, (FOLDER, f"{NAME}/{FOLDER}"), ("train/pos",))
    for split in SPLITS:
        for name in CLASSES:
            if next((folder / split / name).glob("*.txt"), None) is None:
                raise UserError(
                    f"imdb: no reviews in {folder / split / name}; run `python -m src.dataloaders prepare imdb`"
                )
    return folder


def check(options: Options) -> str:
    """Returns what was found. Raises UserError unless each of the four folders holds 12,500 reviews."""
    source = find(options)
    for folder in (source / split / name for split in SPLITS for name in CLASSES):
        n = sum(1 for _ in folder.glob("*.txt"))
        if n != PER_FOLDER:
            raise UserError(f"{folder}: {n:,} reviews, expected {PER_FOLDER:,}; prepare the set again")
    return "25,000 + 25,000 reviews, half of them positive"


def _build(source: Path, options: Options, folder: Path) -> None:
    reads = {split: partial(read, source, split) for split in SPLITS}
    build_tokens(folder, reads, Characters(), options.l_max, options.min_freq)


def read(source: Path, split: str) -> Iterator[Example]:
    """Yields the reviews of a split: negative ones, then positive ones, in the order of their file names."""
    for label, name in enumerate(CLASSES):
        for path in sorted((source / split / name).glob("*.txt")):
            yield (path.read_text(encoding="utf-8"),), label
