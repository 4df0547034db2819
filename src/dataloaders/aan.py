"""ACL Anthology Network pairs (Radev et al. 2013), character by character: does one paper cite the other? The Retrieval task of LRA.

l_max 4,000, 2 classes; x holds both documents, (B, 2, L), padded to one length. Fields are split at tabs and never unquoted,
as LRA reads them.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar

from ..files import read_lines
from .base import Splits
from .cache import cached, fingerprint
from .layout import PREPARE, Layout
from .options import Texts
from .tokens import Characters, Example, TokenSequences, build_tokens, read_vocabulary

FILES = {"train": "new_aan_pairs.train.tsv", "val": "new_aan_pairs.eval.tsv", "test": "new_aan_pairs.test.tsv"}
N_TRAIN = 147_086
LONGEST = 1 << 24  # characters of a line with two papers
LAYOUT = Layout(
    name="aan",
    folders=("aan", "tsv_data"),
    files=tuple(FILES.values()),
    shows=f"aan/ with {', '.join(FILES.values())} (lines of label, id1, id2, text1, text2 between tabs)",
    how=f"run `{PREPARE} aan --archive lra_release.gz`",
)


@dataclass(frozen=True, kw_only=True)
class Options(Texts):
    """l_max: longest document, the end symbol included."""

    layout: ClassVar[Layout] = LAYOUT
    l_max: int = 4000


def load(options: Options) -> Splits:
    """Returns the three published splits of document pairs."""
    source = options.find()
    settings = {"l_max": options.l_max, "source": fingerprint(source / file for file in FILES.values())}
    folder = cached(source, "characters", settings, partial(_build, source, options.l_max))
    train, val, test = (TokenSequences(folder, split, documents=2) for split in FILES)
    other = "" if len(train) == N_TRAIN else f" ({len(train):,} training pairs, not the published {N_TRAIN:,})"
    note = f"published splits{other}; validation has its own file"
    return Splits(train, val, test, n_classes=2, l_max=options.l_max, vocabulary=read_vocabulary(folder), note=note)


def check(options: Options) -> str:
    """Returns what was found. Raises UserError if a line is broken or the training split is not 147,086 pairs."""
    source = options.find()
    sizes = {split: sum(1 for _ in read(source / file)) for split, file in FILES.items()}
    if sizes["train"] != N_TRAIN:
        raise LAYOUT.error(source / FILES["train"], f"{sizes['train']:,} pairs, expected {N_TRAIN:,}")
    return f"{sizes['train']:,} / {sizes['val']:,} / {sizes['test']:,} pairs"


def _build(source: Path, l_max: int, folder: Path) -> None:
    reads = {split: partial(read, source / file) for split, file in FILES.items()}
    build_tokens(folder, reads, Characters(), l_max)


def read(path: Path) -> Iterator[Example]:
    """Yields the pairs of a file: label, id1, id2, text1, text2. Raises UserError for a line that is none, and where there is none."""
    number = 0
    for number, line in enumerate(read_lines(path, LONGEST, "pairs of papers", LAYOUT.again), 1):
        fields = line.rstrip("\r\n").split("\t")
        if len(fields) != 5 or fields[0] not in ("0", "1", "0.0", "1.0"):
            raise LAYOUT.error(path, "expected label, id1, id2, text1, text2 between tabs", number)
        yield (fields[3], fields[4]), int(float(fields[0]))
    if number == 0:
        raise LAYOUT.error(path, "is empty, expected pairs of papers")
