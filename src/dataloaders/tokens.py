"""Texts as sequences of whole numbers: vocabulary, the arrays on disk, and batches padded to their longest.

Vocabulary (as in the published pipelines): padding, unknown and end-of-sequence come first, then the symbols of the training
split that occur at least `min_freq` times, the most frequent first, ties in order of the symbol. A text is cut to l_max - 1
symbols, then the end symbol follows.
"""

import copy
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Protocol

import numpy as np
import torch

from ..files import reading
from .base import Batch, MapDataset
from .cache import MappedArray, remake
from .placement import Placement, send, tensor_of

PAD, UNKNOWN, END = 0, 1, 2
SPECIAL = ("<pad>", "<unk>", "<eos>")

# texts of one example (one, or two for pairs) with its class
Example = tuple[tuple[str, ...], int]


class Symbols(Protocol):
    """How a text falls into symbols, each with a number of its own before there is a vocabulary."""

    def encode(self, text: str) -> np.ndarray:
        """Returns the numbers of the symbols of `text`, int64."""
        ...

    def name(self, number: int) -> str:
        """Returns the symbol of a number."""
        ...


class Characters:
    """Every Unicode character is a symbol."""

    def encode(self, text: str) -> np.ndarray:
        """Returns the code points."""
        return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32).astype(np.int64)

    def name(self, number: int) -> str:
        """Returns the character."""
        return chr(number)


class Words:
    """Every word between spaces is a symbol, after `clean` has been applied to the text."""

    def __init__(self, clean: Callable[[str], str]):
        self._clean, self._numbers = clean, {}

    def encode(self, text: str) -> np.ndarray:
        """Returns the words' numbers, in order of first appearance."""
        words = self._clean(text).split()
        for word in set(words) - self._numbers.keys():
            self._numbers[word] = len(self._numbers)
        return np.array([self._numbers[word] for word in words], dtype=np.int64)

    def name(self, number: int) -> str:
        """Returns the word."""
        return list(self._numbers)[number]


def build_tokens(
    folder: Path, splits: Mapping[str, Callable[[], Iterable[Example]]], symbols: Symbols, l_max: int, min_freq: int = 1
) -> None:
    """Writes `vocabulary.json` and, for each split, `<split>_{tokens,offsets,labels}.npy` into `folder`.

    Every split is read twice and written as it is read, so that memory holds one text at a time.

    Args:
        splits: for each split a function that starts to read it; the vocabulary comes from 'train'.
    """
    counts, sizes = np.zeros(0, dtype=np.int64), {}
    for split, read in splits.items():
        lengths, labels = [], []
        for texts, label in read():
            labels.append(label)
            for text in texts:
                numbers = symbols.encode(text)[: l_max - 1]
                lengths.append(len(numbers) + 1)
                if split == "train":
                    counts = _add_counts(counts, numbers)
        sizes[split] = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
        np.save(folder / f"{split}_offsets.npy", sizes[split])
        np.save(folder / f"{split}_labels.npy", np.array(labels, dtype=np.int64))
    names = sorted(
        (-int(counts[number]), symbols.name(int(number)), int(number)) for number in np.flatnonzero(counts >= min_freq)
    )
    # the last entry of the table stands for every number that the training split does not have
    table = np.full(len(counts) + 1, UNKNOWN, dtype=_dtype(len(SPECIAL) + len(names)))
    table[[number for _, _, number in names]] = np.arange(len(SPECIAL), len(SPECIAL) + len(names))
    for split, read in splits.items():
        _write_tokens(folder / f"{split}_tokens.npy", read(), symbols, table, sizes[split], l_max)
    (folder / "vocabulary.json").write_text(json.dumps([*SPECIAL, *(name for _, name, _ in names)]), encoding="utf-8")


def _add_counts(counts: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    more = np.bincount(numbers, minlength=len(counts))
    more[: len(counts)] += counts
    return more


def _dtype(n_symbols: int) -> type:
    return np.uint8 if n_symbols <= 256 else np.int32


def _write_tokens(
    path: Path, examples: Iterable[Example], symbols: Symbols, table: np.ndarray, offsets: np.ndarray, l_max: int
) -> None:
    tokens = np.lib.format.open_memmap(path, mode="w+", dtype=table.dtype, shape=(int(offsets[-1]),))
    for i, text in enumerate(text for texts, _ in examples for text in texts):
        numbers = symbols.encode(text)[: l_max - 1]
        tokens[offsets[i] : offsets[i + 1] - 1] = table[np.minimum(numbers, len(table) - 1)]
        tokens[offsets[i + 1] - 1] = END
    tokens.flush()


def read_vocabulary(folder: Path) -> tuple[str, ...]:
    """Returns the symbols in the order of their numbers."""
    path = folder / "vocabulary.json"
    with reading(path, "the vocabulary of the cache", remake(folder)):
        return tuple(map(str, json.loads(path.read_text(encoding="utf-8"))))


class TokenSequences(MapDataset):
    """One split of a folder that `build_tokens` filled.

    Args:
        documents: texts of one example; with 2, x is (B, 2, L) and lengths (B, 2).
    """

    def __init__(self, folder: Path, split: str, documents: int = 1):
        self._tokens, self._offsets, self._labels = (
            MappedArray(folder / f"{split}_{kind}.npy") for kind in ("tokens", "offsets", "labels")
        )
        self.documents = documents

    def __len__(self) -> int:
        return len(self._labels)

    def batch(self, indices: torch.Tensor, generator: torch.Generator | None = None) -> Batch:
        """See `SequenceDataset.batch`."""
        offsets, tokens = self._offsets.tensor, tensor_of(self._tokens)
        texts = indices[:, None] * self.documents + torch.arange(self.documents)
        starts = offsets[texts]
        lengths = offsets[texts + 1] - starts
        longest = int(lengths.max())  # of numbers on the host: no device to wait for
        passes_the_end = int(starts.max()) + longest > len(tokens)
        time = torch.arange(longest, device=tokens.device)
        starts, lengths, rows = (send(part, tokens.device) for part in (starts, lengths, indices))
        place = starts[..., None] + time
        if passes_the_end:
            place.clamp_(max=len(tokens) - 1)
        x = tokens[place].long().masked_fill_(time >= lengths[..., None], PAD)
        y = tensor_of(self._labels)[rows]
        return Batch(x, y, lengths) if self.documents > 1 else Batch(x[:, 0], y, lengths[:, 0])

    def placed(self, placement: Placement) -> "TokenSequences":
        """See `SequenceDataset.placed`; the offsets stay on the host, where the length of a batch is needed."""
        placed = copy.copy(self)
        placed._tokens, placed._labels = placement.keep(self._tokens), placement.keep(self._labels)
        return placed
