"""ListOps (Nangia & Bowman, arXiv 1804.06028) in LRA's long form: the value of a nested expression of MIN, MAX, MED and SM (sum mod 10).

A source reads `( ( ( [MAX 2 ) 9 ) ] )`. Parentheses only show the tree and are dropped; `]` closes an operator. l_max 2,048,
18 symbols, 10 classes.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import ClassVar

from ..files import read_lines
from .base import Splits
from .cache import cached, fingerprint
from .layout import PREPARE, RECORD, Layout, is_generated, other_sizes
from .options import Texts
from .tokens import Example, TokenSequences, Words, build_tokens, read_vocabulary

FILES = {split: f"basic_{split}.tsv" for split in ("train", "val", "test")}
HEADER = "Source\tTarget"
SIZES = {"train": 96_000, "val": 2_000, "test": 2_000}
LONGEST = 1 << 20  # characters of a line; a published expression has at most 6,000
LAYOUT = Layout(
    name="listops",
    folders=("listops", "listops-1000"),
    files=tuple(FILES.values()),
    shows=f"listops/ with {', '.join(FILES.values())} (first line 'Source<tab>Target', then an expression, a tab and its value)",
    how=f"run `{PREPARE} listops --archive lra_release.gz` or `... prepare listops --generate`",
)
_OPERATORS = {
    "[MIN": min,
    "[MAX": max,
    "[MED": lambda values: int(median(values)),
    "[SM": lambda values: sum(values) % 10,
}
_SYMBOLS = {*_OPERATORS, "]", *"0123456789"}
_NO_PARENTHESES = str.maketrans("", "", "()")


@dataclass(frozen=True, kw_only=True)
class Options(Texts):
    """l_max: longest sequence, the end symbol included."""

    layout: ClassVar[Layout] = LAYOUT
    l_max: int = 2048


def load(options: Options) -> Splits:
    """Returns 96,000 / 2,000 / 2,000 expressions of the published set, or what was generated."""
    source = options.find()
    paths = [source / file for file in (*FILES.values(), RECORD) if (source / file).exists()]
    settings = {"l_max": options.l_max, "source": fingerprint(paths)}
    folder = cached(source, "words", settings, partial(_build, source, options.l_max))
    train, val, test = (TokenSequences(folder, split) for split in FILES)
    found = {"train": len(train), "val": len(val), "test": len(test)}
    origin = "generated here" if is_generated(source) else f"published files{other_sizes(found, SIZES)}"
    note = f"{origin}; validation has its own file"
    return Splits(train, val, test, n_classes=10, l_max=options.l_max, vocabulary=read_vocabulary(folder), note=note)


def check(options: Options) -> str:
    """Returns what was found. Every expression of the evaluation splits, and as many of the training split, is evaluated.

    Raises:
        UserError: a split of another size than published (or asked of the generator), or a wrong value.
    """
    source = options.find()
    generated = is_generated(source)
    sizes = {split: LAYOUT.recorded(source, split) for split in SIZES} if generated else SIZES
    for split, file in FILES.items():
        n = 0
        for (text,), target in read(source / file):
            n += 1
            if n <= sizes["test"] and evaluate(text) != target:
                raise LAYOUT.error(source / file, f"the value is {evaluate(text)}, not {target}", n + 1)
        if n != sizes[split]:
            raise LAYOUT.error(source / file, f"{n:,} expressions, expected {sizes[split]:,}")
    origin = "as generated" if generated else "published sizes"
    return f"{sizes['train']:,} / {sizes['val']:,} / {sizes['test']:,} expressions ({origin}), values right"


def evaluate(text: str) -> int | None:
    """Returns the value of an expression, from its words and brackets alone; None if it is no expression."""
    stack: list[list] = [[]]
    try:
        for word in text.translate(_NO_PARENTHESES).split():
            if word == "]":
                operator, *values = stack.pop()
                stack[-1].append(_OPERATORS[operator](values))
            elif word in _OPERATORS:
                stack.append([word])
            else:
                stack[-1].append(int(word))
    except (IndexError, KeyError, TypeError, ValueError):
        return None
    return stack[0][0] if len(stack) == 1 and len(stack[0]) == 1 else None


def _build(source: Path, l_max: int, folder: Path) -> None:
    reads = {split: partial(_read_whole, source, split) for split in FILES}
    build_tokens(folder, reads, Words(lambda text: text.translate(_NO_PARENTHESES)), l_max)


def _read_whole(source: Path, split: str) -> Iterator[Example]:
    """Yields a split; a set that was generated here must have as many expressions as were asked for."""
    path, n = source / FILES[split], 0
    for example in read(path):
        n += 1
        yield example
    if is_generated(source) and n != LAYOUT.recorded(source, split):
        raise LAYOUT.error(path, f"{n:,} expressions, but {LAYOUT.recorded(source, split):,} were generated")


def read(path: Path) -> Iterator[Example]:
    """Yields the expressions of a file. Raises UserError for a line that is none, and where there is none."""
    lines = read_lines(path, LONGEST, "expressions with their values", LAYOUT.again)
    if next(lines, "").strip() != HEADER:
        raise LAYOUT.error(path, "the first line is not 'Source<tab>Target'")
    number = 1
    for number, line in enumerate(lines, 2):
        source, _, target = line.rstrip("\r\n").rpartition("\t")
        if target not in _DIGITS or not source or not _is_expression(source):
            raise LAYOUT.error(path, "expected an expression, a tab and a value 0-9", number)
        yield (source,), int(target)
    if number == 1:
        raise LAYOUT.error(path, "holds no expression")


_DIGITS = frozenset("0123456789")


def _is_expression(text: str) -> bool:
    """Tells by the symbols and the number of brackets; `evaluate` would take longer than reading."""
    words = text.translate(_NO_PARENTHESES).split()
    return _SYMBOLS.issuperset(words) and text.count("[") == words.count("]")
