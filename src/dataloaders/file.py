"""`dataset=file dataset.path=X`: a user's own sequences or texts, with classes or numbers as labels; docs/data.md shows each format."""

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import torch

from ..errors import UserError, did_you_mean
from ..files import unusable
from .base import SequenceDataset, Splits, Subset
from .cache import cached, fingerprint
from .layout import Layout
from .options import ThreeWay
from .own import archive, arrays, tables, texts
from .own.describe import describe, describe_targets
from .own.raw import SPLITS, Raw, check_raw, join
from .own.series import Series, scaled
from .own.targets import Targets, parts_of, targets_of
from .tokens import Characters, TokenSequences, build_tokens, read_vocabulary

SUFFIXES = (".npz", ".csv", ".tsv", ".ts", ".jsonl")
LAYOUT = Layout(
    name="file",
    folders=(),
    files=(),
    shows="a .npz (x, y), .csv or .tsv (a row a sequence, or id, time and channels), .ts or .jsonl (text, label); see docs/data.md",
    how="give dataset.path=FILE",
)


@dataclass(frozen=True, kw_only=True)
class Options(ThreeWay):
    """What is read, and how it is split.

    Attributes:
        path: the file; relative to `data_dir` if that is given.
        test_path: a second file of the same kind that is the test split; test_split then has no effect.
        label: the column of the label in a table; None takes label, class, target or y.
        target: 'class' or 'number' where 'auto' (by the labels) guesses wrong.
        normalize: each channel to mean 0 and standard deviation 1 of the training part.
        l_max: longest sequence, the rest is cut off; None cuts nothing.
        min_freq: characters that occur less often in the training texts are one unknown symbol.
    """

    layout: ClassVar[Layout] = LAYOUT
    path: str = ""
    test_path: str | None = None
    label: str | None = None
    target: Literal["auto", "class", "number"] = "auto"
    normalize: bool = True
    l_max: int | None = None
    min_freq: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, value, least in (("l_max", self.l_max, 2), ("min_freq", self.min_freq, 1)):
            if value is not None and value < least:
                raise UserError(f"dataset.{name} = {value} must be at least {least}")

    def find(self) -> Path:
        """Returns the path of the file. Raises UserError if there is none, or of a format that is not read."""
        if not self.path:
            raise UserError("dataset=file needs dataset.path=FILE, a .npz, .csv, .tsv, .ts or .jsonl")
        return _find(self.path, self.data_dir)

    def files(self) -> dict[str, Path]:
        """See `Place.files`."""
        named = {"path": self.path, "test_path": self.test_path}
        found = {key: _path(name, self.data_dir) for key, name in named.items() if name}
        return {key: path for key, path in found.items() if path.is_file()}


def _path(name: str, data_dir: str | None) -> Path:
    return Path(data_dir or "").expanduser() / Path(name).expanduser()


def _find(name: str, data_dir: str | None) -> Path:
    path = _path(name, data_dir)
    if path.suffix not in SUFFIXES:
        raise UserError(
            f"{path}: expected one of {', '.join(SUFFIXES)}{did_you_mean(path.suffix, SUFFIXES) if path.suffix else ''}"
        )
    if not path.exists():
        raise UserError(f"{path}: no such file")
    return path


def load(options: Options) -> Splits:
    """Returns the file's own splits, or a stratified random one.

    Raises:
        UserError: the file cannot be read, a number is missing, or a class has no training example.
    """
    path = options.find()
    raw = read(options)
    check_raw(path, raw)
    targets, parts = _decide(path, raw, options)
    whole, l_max, vocabulary, scale = _dataset(path, raw, targets, parts, options)
    train, val, test = (Subset(whole, torch.from_numpy(parts[name])) for name in SPLITS)
    return Splits(
        train,
        val,
        test,
        n_classes=None if targets.classes is None else len(targets.classes),
        l_max=l_max,
        d_input=None if raw.series is None else len(raw.channels),
        vocabulary=vocabulary,
        classes=targets.classes,
        target=scale,
        note=f"{path.name}, {_origin(raw, options)}",
    )


def read(options: Options) -> Raw:
    """Returns what the file (and the one of the test split) holds."""
    raw = _read(options.find(), options)
    if options.test_path is not None:
        path = _find(options.test_path, options.data_dir)
        raw = join(raw, _read(path, options), path)
    if options.l_max is None or raw.series is None:
        return raw
    return replace(raw, series=[sequence[: options.l_max] for sequence in raw.series])


def _read(path: Path, options: Options) -> Raw:
    if path.suffix in (".csv", ".tsv"):
        return tables.read(path, options.label)
    return {".npz": arrays, ".ts": archive, ".jsonl": texts}[path.suffix].read(path)


def _decide(path: Path, raw: Raw, options: Options) -> tuple[Targets, dict[str, np.ndarray]]:
    """What the labels are, and the indices of each part."""
    try:
        targets = targets_of(raw, options.target)
        return targets, parts_of(raw, targets, options.val_split, options.test_split, options.seed)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None


def _dataset(
    path: Path, raw: Raw, targets: Targets, parts: dict[str, np.ndarray], options: Options
) -> tuple[SequenceDataset, int, tuple[str, ...] | None, tuple[float, float] | None]:
    """All examples with labels as a model learns them; the longest length; the vocabulary; mean and std of a number."""
    scale, y = None, targets.y
    if targets.classes is None:
        known = y[parts["train"]]
        scale = (float(known.mean()), float(known.std()) or 1.0)
        y = ((y - scale[0]) / scale[1]).astype(np.float32)
    if raw.series is not None:
        values = torch.from_numpy(scaled(raw.series, parts["train"], options.normalize))
        if not values.isfinite().all():
            raise unusable(path, "values too large for float32", "rescale them")
        lengths = torch.from_numpy(raw.lengths)
        same = bool((lengths == values.shape[1]).all())
        return Series(values, torch.from_numpy(y), None if same else lengths), values.shape[1], None, scale
    l_max = options.l_max or int(raw.lengths.max()) + 1
    settings = {
        **{key: str(value) for key, value in vars(options).items()},
        "source": fingerprint(options.files().values()),
    }
    folder = cached(
        path.parent,
        f"{path.stem}-characters",
        settings,
        partial(_build, raw, y, parts["train"], l_max, options.min_freq),
    )
    return TokenSequences(folder, "all"), l_max, read_vocabulary(folder), scale


def _build(raw: Raw, y: np.ndarray, train: np.ndarray, l_max: int, min_freq: int, folder: Path) -> None:
    """The vocabulary comes from the training part, the arrays hold all examples in the order of the file."""

    def examples(rows: np.ndarray):
        return [((raw.texts[row],), y[row]) for row in rows]

    build_tokens(
        folder,
        {"train": lambda: examples(train), "all": lambda: examples(np.arange(len(raw)))},
        Characters(),
        l_max,
        min_freq,
    )


def _origin(raw: Raw, options: Options) -> str:
    if raw.parts is None:
        return f"stratified random split, seed {options.seed}"
    given = "the two files" if options.test_path else "the file"
    return f"split of {given}" + (
        "" if "val" in raw.parts else f", validation drawn from its training part, seed {options.seed}"
    )


def check(options: Options) -> str:
    """Returns what the file holds: format, lengths, channels, missing values, classes or range, and the split.

    Raises:
        UserError: as `load`; where numbers are missing it says how many and the row of the first.
    """
    path, raw = options.find(), read(options)
    if raw.gaps.count:
        found = f"{describe(raw)}, the first at {raw.gaps.first}"
        raise unusable(path, found, "fill them in or leave these sequences out")
    check_raw(path, raw)
    targets, parts = _decide(path, raw, options)
    sizes = " / ".join(f"{len(parts[name]):,}" for name in SPLITS)
    return f"{describe(raw)}\n  {describe_targets(targets)}\n  train / val / test {sizes}, {_origin(raw, options)}"
