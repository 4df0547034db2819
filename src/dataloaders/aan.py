"""ACL Anthology Network pairs (Radev et al. 2013), character by character: does one paper cite the other? The Retrieval task of LRA.

l_max 4,000, 2 classes; x holds both documents, (B, 2, L), padded to one length. Fields are split at tabs and never unquoted,
as LRA reads them.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ..errors import UserError
from .base import Splits
from .cache import cached, fingerprint
from .root import find_folder
from .tokens import Characters, Example, TokenSequences, build_tokens, read_vocabulary

NAME = "aan"
FILES = {"train": "new_aan_pairs.train.tsv", "val": "new_aan_pairs.eval.tsv", "test": "new_aan_pairs.test.tsv"}
N_TRAIN = 147_086
HOW = "run `python -m src.dataloaders prepare aan --archive lra_release.gz`"


@dataclass(frozen=True)
class Options:
    """l_max: longest document, the end symbol included."""

    data_dir: str | None = None
    l_max: int = 4000

    def __post_init__(self):
        if self.l_max < 2:
            raise UserError(f"dataset.l_max = {self.l_max} must be at least 2")


def load(options: Options) -> Splits:
    """Returns the three published splits of document pairs."""
    source = find(options)
    settings = {"l_max": options.l_max, "source": fingerprint(source / file for file in FILES.values())}
    folder = cached(source, "characters", settings, partial(_build, source, options.l_max))
    train, val, test = (TokenSequences(folder, split, documents=2) for split in FILES)
    return Splits(
        train, val, test, n_classes=2, l_max=options.l_max, vocabulary=read_vocabulary(folder), note="published splits"
    )


def find(options: Options) -> Path:
    """Returns the folder of the three files."""
    folder = find_folder(NAME, options.data_dir, (NAME, "tsv_data"), (FILES["train"],), HOW)
    for file in FILES.values():
        if not (folder / file).is_file():
            raise UserError(f"aan: {folder / file} is missing; {HOW}")
    return folder


def check(options: Options) -> str:
    """Returns what was found. Raises UserError if a line is broken or the training split is not 147,086 pairs."""
    source = find(options)
    sizes = {split: sum(1 for _ in read(source / file)) for split, file in FILES.items()}
    if sizes["train"] != N_TRAIN:
        raise UserError(f"{source / FILES['train']}: {sizes['train']:,} pairs, expected {N_TRAIN:,}; {HOW}")
    return f"{sizes['train']:,} / {sizes['val']:,} / {sizes['test']:,} pairs"


def _build(source: Path, l_max: int, folder: Path) -> None:
    reads = {split: partial(read, source / file) for split, file in FILES.items()}
    build_tokens(folder, reads, Characters(), l_max)


def read(path: Path) -> Iterator[Example]:
    """Yields the pairs of a file: label, id1, id2, text1, text2. Raises UserError for a line that is none."""
    with open(path, encoding="utf-8", newline="\n") as file:
        for number, line in enumerate(file, 1):
            fields = line.rstrip("\r\n").split("\t")
            if len(fields) != 5 or fields[0] not in ("0", "1", "0.0", "1.0"):
                raise UserError(f"{path}:{number}: expected label, id1, id2, text1, text2 between tabs; {HOW}")
            yield (fields[3], fields[4]), int(float(fields[0]))
