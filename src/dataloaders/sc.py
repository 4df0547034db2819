"""Speech Commands v0.02 (Warden, arXiv 1804.03209), raw: one second at 16 kHz, L = 16,000; 35 words, or the 10 commands of SC10.

Splits are the official lists for both. A clip shorter than a second is followed by silence. Values are scaled by one mean and
one standard deviation of the training split.
"""

import os
import wave
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from tqdm import tqdm

from ..files import check_regular, read_text, reading
from .base import Splits
from .cache import MappedArray, cached, cached_array, fingerprint
from .layout import Layout, other_sizes
from .options import Place
from .scaled import ScaledSequences, Scaling

LENGTH = RATE = 16_000
FULL_SCALE = 32_768.0
LONGEST_LIST = 1 << 24  # bytes; the longer published one has 330,000
LISTS = {"val": "validation_list.txt", "test": "testing_list.txt"}
SPLITS = ("train", "val", "test")
SC10 = ("yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go")
_OTHER_WORDS = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"),
    *("backward", "bed", "bird", "cat", "dog", "follow", "forward", "happy", "house", "learn", "marvin", "sheila"),
    *("tree", "visual", "wow"),
)
SC35 = tuple(sorted((*SC10, *_OTHER_WORDS)))
SIZES_35 = {"train": 84_843, "val": 9_981, "test": 11_005}
LAYOUT = Layout(
    name="sc",
    folders=("speech_commands", "SpeechCommands", "SpeechCommands/speech_commands_v0.02"),
    files=tuple(LISTS.values()),
    shows="speech_commands/ with a folder of *.wav for each word (16-bit mono, 16 kHz), validation_list.txt and testing_list.txt",
)


@dataclass(frozen=True, kw_only=True)
class Options(Place):
    """all_classes: all 35 words; otherwise the 10 commands."""

    layout: ClassVar[Layout] = LAYOUT
    all_classes: bool = False


def load(options: Options) -> Splits:
    """Returns 84,843 / 9,981 / 11,005 clips of 35 words, or those of 10 words."""
    source, words = options.find(), SC35 if options.all_classes else SC10
    lists = [source / name for name in LISTS.values()] + [source / word for word in words if (source / word).is_dir()]
    settings = {"words": words, "source": fingerprint(lists)}
    cache = cached(source, f"raw-{len(words)}", settings, partial(_build, source, words))
    mean, std = cached_array(cache / "train_moments.npy").tolist()
    train, val, test = (
        ScaledSequences(
            MappedArray(cache / f"{split}_clips.npy"),
            torch.from_numpy(cached_array(cache / f"{split}_labels.npy")),
            Scaling((mean,), (std,), FULL_SCALE),
        )
        for split in SPLITS
    )
    sizes = {"train": len(train), "val": len(val), "test": len(test)}
    note = f"official lists of v0.02{other_sizes(sizes, SIZES_35) if options.all_classes else ''}"
    return Splits(train, val, test, n_classes=len(words), l_max=LENGTH, d_input=1, note=note)


def check(options: Options) -> str:
    """Returns what was found. Raises UserError unless all 35 words are there in the published numbers."""
    source = options.find()
    sizes = {split: len(names) for split, names in read_lists(source, SC35).items()}
    if sizes != SIZES_35:
        raise LAYOUT.error(source, f"{sizes} clips, expected {SIZES_35}")
    return " / ".join(f"{n:,}" for n in sizes.values()) + " clips of 35 words"


def read_lists(source: Path, words: Sequence[str]) -> dict[str, list[str]]:
    """Returns the clips of each split as `word/file.wav`: in a list, or else for training.

    Raises:
        UserError: a word without clips, or a list that names a clip which is not there (a cut list would make it a training clip).
    """
    held = {split: _read_list(source / name, source, words) for split, name in LISTS.items()}
    clips = {split: [] for split in SPLITS}
    for word in words:
        names = sorted(f"{word}/{path.name}" for path in (source / word).glob("*.wav"))
        if not names:
            raise LAYOUT.error(source / word, "no clips there")
        for name in names:
            clips["val" if name in held["val"] else "test" if name in held["test"] else "train"].append(name)
    for split, names in clips.items():
        if not names:
            raise LAYOUT.error(source, f"no clips for {split}")
    return clips


def _read_list(path: Path, source: Path, words: Sequence[str]) -> set[str]:
    """Names of the form `word/file.wav`; those of `words` must be there."""
    names = read_text(path, LONGEST_LIST, "a list of clips", LAYOUT.again).split()
    for name in names:
        word, _, file = name.partition("/")
        if word not in SC35 or not file.endswith(".wav") or "/" in file:
            raise LAYOUT.error(path, f"expected lines 'word/file.wav', found {name[:80]!r}")
    there = {f"{word}/{file}" for word in words if (source / word).is_dir() for file in os.listdir(source / word)}
    wanted = {name for name in names if name.partition("/")[0] in words}
    if wanted - there:
        raise LAYOUT.error(path, f"names {min(wanted - there)}, which is not there")
    return wanted


def _build(source: Path, words: Sequence[str], cache: Path) -> None:
    for split, names in read_lists(source, words).items():
        shape = (len(names), LENGTH, 1)
        clips = np.lib.format.open_memmap(cache / f"{split}_clips.npy", mode="w+", dtype=np.int16, shape=shape)
        total = squares = 0.0
        for i, name in enumerate(tqdm(names, f"reading {split} clips", disable=None)):
            clips[i, :, 0] = read_clip(source / name)
            values = clips[i] / FULL_SCALE
            total += values.sum()
            squares += (values**2).sum()
        clips.flush()
        mean = total / clips.size
        std = np.sqrt(squares / clips.size - mean**2)
        if not std > 0:
            raise LAYOUT.error(source, f"the clips for {split} are silent")
        np.save(cache / f"{split}_moments.npy", [mean, std])
        np.save(cache / f"{split}_labels.npy", np.array([words.index(name.split("/")[0]) for name in names]))


def read_clip(path: Path) -> np.ndarray:
    """Returns 16,000 samples int16, silence after the clip's end.

    Raises:
        UserError: the file is not 16-bit mono at 16 kHz, not at most a second long, or shorter than its header says.
    """
    expected = "16-bit mono at 16 kHz, at most 16,000 samples"
    with reading(path, expected, LAYOUT.again):
        check_regular(path)
        with open(path, "rb") as stream, wave.open(stream) as file:
            form = (file.getnchannels(), file.getsampwidth(), file.getframerate())
            n = file.getnframes()
            data = file.readframes(n) if form == (1, 2, RATE) and n <= LENGTH else b""
    if form != (1, 2, RATE) or not 0 < n <= LENGTH:
        found = f"{n:,} samples of {8 * form[1]} bits, {form[0]} channels, {form[2]:,} Hz"
        raise LAYOUT.error(path, f"{found}, expected {expected}")
    if len(data) != 2 * n:
        raise LAYOUT.error(path, f"is cut: {len(data):,} of {2 * n:,} bytes of sound")
    return np.pad(np.frombuffer(data, "<i2"), (0, LENGTH - n))
