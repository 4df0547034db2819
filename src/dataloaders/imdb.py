"""IMDB reviews (Maas et al. 2011), character by character: is a review positive? The Text task of LRA: l_max 4,096, 2 classes.

LRA validates on the test split (`protocol: lra`, the published numbers); `protocol: holdout` validates on a part of the
training split instead.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar, Literal

from ..errors import UserError
from ..files import read_text
from .base import Splits, split_train
from .cache import cached, fingerprint
from .layout import Layout
from .options import HoldOut, Texts
from .tokens import Characters, Example, TokenSequences, build_tokens, read_vocabulary

SPLITS = ("train", "test")
CLASSES = ("neg", "pos")
PER_FOLDER = 12_500
LONGEST = 1 << 20  # bytes of a review; the longest published one has 14,000
LAYOUT = Layout(
    name="imdb",
    folders=("aclImdb", "imdb/aclImdb"),
    files=tuple(f"{split}/{name}/*.txt" for split in SPLITS for name in CLASSES),
    shows="aclImdb/ with train/pos, train/neg, test/pos and test/neg, each of *.txt (one review in UTF-8)",
)


@dataclass(frozen=True, kw_only=True)
class Options(Texts, HoldOut):
    """level: characters are the only level of the published runs; val_split and seed count with protocol 'holdout' only."""

    layout: ClassVar[Layout] = LAYOUT
    l_max: int = 4096
    level: Literal["char"] = "char"
    min_freq: int = 15
    protocol: Literal["lra", "holdout"] = "lra"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.min_freq < 1:
            raise UserError(f"dataset.min_freq = {self.min_freq} must be at least 1")


def load(options: Options) -> Splits:
    """Returns 25,000 / 25,000 / 25,000 reviews, validation being the test split, or 22,500 / 2,500 / 25,000 with a holdout."""
    source = options.find()
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


def check(options: Options) -> str:
    """Returns what was found. Raises UserError unless each of the four folders holds 12,500 reviews."""
    source = options.find()
    for folder in (source / split / name for split in SPLITS for name in CLASSES):
        n = sum(1 for _ in folder.glob("*.txt"))
        if n != PER_FOLDER:
            raise LAYOUT.error(folder, f"{n:,} reviews, expected {PER_FOLDER:,}")
    return "25,000 + 25,000 reviews, half of them positive"


def _build(source: Path, options: Options, folder: Path) -> None:
    reads = {split: partial(read, source, split) for split in SPLITS}
    build_tokens(folder, reads, Characters(), options.l_max, options.min_freq)


def read(source: Path, split: str) -> Iterator[Example]:
    """Yields the reviews of a split: negative ones, then positive ones, in the order of their file names.

    Raises:
        UserError: a file that is no UTF-8 text, is empty or is far too long for a review.
    """
    for label, name in enumerate(CLASSES):
        for path in sorted((source / split / name).glob("*.txt")):
            text = read_text(path, LONGEST, "one review", LAYOUT.again)
            if not text:
                raise LAYOUT.error(path, "is empty, expected one review")
            yield (text,), label
