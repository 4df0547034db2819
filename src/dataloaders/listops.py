"""ListOps (Nangia & Bowman, arXiv 1804.06028) in LRA's long form: the value of a nested expression of MIN, MAX, MED and SM (sum mod 10).

A source reads `( ( ( [MAX 2 ) 9 ) ] )`. Parentheses only show the tree and are dropped; `]` closes an operator. l_max 2,048,
18 symbols, 10 classes.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median

from ..errors import UserError
from .base import Splits
from .cache import cached, fingerprint
from .root import RECORD, find_folder
from .tokens import Example, TokenSequences, Words, build_tokens, read_vocabulary

NAME = "listops"
SPLITS = ("train", "val", "test")
FILES = tuple(f"basic_{split}.tsv" for split in SPLITS)
HEADER = "Source\tTarget"
SIZES = {"train": 96_000, "val": 2_000, "test": 2_000}
HOW = "run `python -m src.dataloaders prepare listops --archive lra_release.gz` or `... prepare listops --generate`"
_NO_PARENTHESES = str.maketrans("", "", "()")


@dataclass(frozen=True)
class Options:
    """l_max: longest sequence, the end symbol included."""

    data_dir: str | None = None
    l_max: int = 2048

    def __post_init__(self):
        if self.l_max < 2:
            raise UserError(f"dataset.l_max = {self.l_max} must be at least 2")


def load(options: Options) -> Splits:
    """Returns 96,000 / 2,000 / 2,000 expressions of the published set, or what was generated."""
    source = find(options)
    settings = {"l_max": options.l_max, "source": fingerprint(source / file for file in FILES)}
    folder = cached(source, "words", settings, partial(_build, source, options.l_max))
    train, val, test = (TokenSequences(folder, split) for split in SPLITS)
    note = "generated here" if (source / RECORD).is_file() else "published files"
    return Splits(train, val, test, n_classes=10, l_max=options.l_max, vocabulary=read_vocabulary(folder), note=note)


def find(options: Options) -> Path:
    """Returns the folder of the three files."""
    folder = find_folder(NAME, options.data_dir, (NAME, "listops-1000"), FILES[:1], HOW)
    for file in FILES[1:]:
        if not (folder / file).is_file():
            raise UserError(f"listops: {folder / file} is missing; {HOW}")
    return folder


def check(options: Options) -> str:
    """Returns what was found. Every expression of the evaluation splits, and as many of the training split, is evaluated.

    Raises:
        UserError: a split of another size than published (or asked of the generator), or a wrong value.
    """
    source = find(options)
    record, sizes, origin = source / RECORD, SIZES, "published sizes"
    if record.is_file():
        sizes, origin = json.loads(record.read_text(encoding="utf-8")), "as generated"
    for split, file in zip(SPLITS, FILES, strict=True):
        n = 0
        for (text,), target in read(source / file):
            n += 1
            if n <= sizes["test"] and evaluate(text) != target:
                raise UserError(
                    f"{source / file}:{n + 1}: the value is {evaluate(text)}, not {target}; prepare the set again"
                )
        if n != sizes[split]:
            raise UserError(f"{source / file}: {n:,} expressions, expected {sizes[split]:,}; prepare the set again")
    return f"{sizes['train']:,} / {sizes['val']:,} / {sizes['test']:,} expressions ({origin}), values right"


def evaluate(text: str) -> int:
    """Returns the value of an expression, from its words and brackets alone."""
    stack: list[list] = [[]]
    for word in text.translate(_NO_PARENTHESES).split():
        if word == "]":
            operator, *values = stack.pop()
            stack[-1].append(_APPLY[operator](values))
        elif word in _APPLY:
            stack.append([word])
        else:
            stack[-1].append(int(word))
    return stack[0][0]


_APPLY = {"[MIN": min, "[MAX": max, "[MED": lambda values: int(median(values)), "[SM": lambda values: sum(values) % 10}


def _build(source: Path, l_max: int, folder: Path) -> None:
    reads = {split: partial(read, source / file) for split, file in zip(SPLITS, FILES, strict=True)}
    build_tokens(folder, reads, Words(lambda text: text.translate(_NO_PARENTHESES)), l_max)


def read(path: Path) -> Iterator[Example]:
    """Yields the expressions of a file. Raises UserError for a line that is none."""
    with open(path, encoding="utf-8") as file:
        if file.readline().strip() != HEADER:
            raise UserError(f"{path}: the first line is not 'Source<tab>Target'; {HOW}")
        for number, line in enumerate(file, 2):
            source, _, target = line.rstrip("\n").rpartition("\t")
            if not source or not target.isdigit() or int(target) > 9:
                raise UserError(f"{path}:{number}: expected an expression, a tab and a value 0-9; {HOW}")
            yield (source,), int(target)
