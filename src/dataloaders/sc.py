"""Speech Commands v0.02 (Warden, arXiv 1804.03209), raw: one second at 16 kHz, L = 16,000; 35 words, or the 10 commands of SC10.

Splits are the official lists for both. A clip shorter than a second is followed by silence. Values are scaled by one mean and
one standard deviation of the training split.
"""

import wave
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from ..errors import UserError
from .base import Splits
from .cache import MappedArray, cached, fingerprint
from .root import find_folder
from .scaled import ScaledSequences, Scaling

NAME = "sc"
LENGTH = RATE = 16_000
FULL_SCALE = 32_768.0
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


@dataclass(frozen=True)
class Options:
    """all_classes: all 35 words; otherwise the 10 commands."""

    data_dir: str | None = None
    all_classes: bool = False


def load(options: Options) -> Splits:
    """Returns 84,843 / 9,981 / 11,005 clips of 35 words, or those of 10 words."""
    source, words = find(options), SC35 if options.all_classes else SC10
    lists = [source / name for name in LISTS.values()] + [source / word for word in words if (source / word).is_dir()]
    settings = {"words": words, "source": fingerprint(lists)}
    cache = cached(source, f"raw-{len(words)}", settings, partial(_build, source, words))
    mean, std = np.load(cache / "train_moments.npy", allow_pickle=False).tolist()
    train, val, test = (
        ScaledSequences(
            MappedArray(cache / f"{split}_clips.npy"),
            torch.from_numpy(np.load(cache / f"{split}_labels.npy", allow_pickle=False)),
            Scaling((mean,), (std,), FULL_SCALE),
        )
        for split in SPLITS
    )
    return Splits(train, val, test, n_classes=len(words), l_max=LENGTH, d_input=1, note="official lists of v0.02")


def find(options: Options) -> Path:
    """Returns the folder of the word folders and lists."""
    folders = ("speech_commands", "SpeechCommands", "SpeechCommands/speech_commands_v0.02")
    return find_folder(NAME, options.data_dir, folders, (LISTS["val"],))


def check(options: Options) -> str:
    """Returns what was found. Raises UserError unless all 35 words are there in the published numbers."""
    sizes = {split: len(names) for split, names in read_lists(find(options), SC35).items()}
    if sizes != SIZES_35:
        raise UserError(f"sc: {sizes} clips, expected {SIZES_35}; run `python -m src.dataloaders prepare sc`")
    return " / ".join(f"{n:,}" for n in sizes.values()) + " clips of 35 words"


def read_lists(source: Path, words: Sequence[str]) -> dict[str, list[str]]:
    """Returns the clips of each split as `word/file.wav`: in a list, or else for training. Raises UserError if a word has none."""
    held = {split: set((source / name).read_text(encoding="utf-8").split()) for split, name in LISTS.items()}
    clips = {split: [] for split in SPLITS}
    for word in words:
        names = sorted(f"{word}/{path.name}" for path in (source / word).glob("*.wav"))
        if not names:
            raise UserError(f"sc: no clips in {source / word}; run `python -m src.dataloaders prepare sc`")
        for name in names:
            clips["val" if name in held["val"] else "test" if name in held["test"] else "train"].append(name)
    return clips


def _build(source: Path, words: Sequence[str], cache: Path) -> None:
    for split, names in read_lists(source, words).items():
        shape = (len(names), LENGTH, 1)
        clips = np.lib.format.open_memmap(cache / f"{split}_clips.npy", mode="w+", dtype=np.int16, shape=shape)
        total = squares = 0.0
        for i, name in enumerate(tqdm(names, f"reading {split} clips", disable=None)):
            clips[i, :, 0] = read_clip(source / name)
            values = clips[i] / FULL_SCALE
            total, squares = total + values.sum(), squares + (values**2).sum()
        clips.flush()
        mean = total / clips.size
        np.save(cache / f"{split}_moments.npy", [mean, np.sqrt(squares / clips.size - mean**2)])
        np.save(cache / f"{split}_labels.npy", np.array([words.index(name.split("/")[0]) for name in names]))


def read_clip(path: Path) -> np.ndarray:
    """Returns 16,000 samples int16. Raises UserError unless the file is 16-bit mono at 16 kHz and at most a second long."""
    try:
        with wave.open(str(path)) as file:
            form = (file.getnchannels(), file.getsampwidth(), file.getframerate())
            samples = np.frombuffer(file.readframes(file.getnframes()), "<i2") if form[1] == 2 else np.zeros(0)
    except (OSError, EOFError, wave.Error, ValueError) as error:
        raise UserError(f"{path}: cannot be read ({error}); prepare the set again") from None
    if form != (1, 2, RATE) or len(samples) > LENGTH:
        raise UserError(f"{path}: expected 16-bit mono at 16 kHz, at most 16,000 samples; prepare the set again")
    return np.pad(samples, (0, LENGTH - len(samples)))
