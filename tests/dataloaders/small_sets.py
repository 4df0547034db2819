"""Tiny valid sets of every format, for tests that damage them."""

import gzip
import io
import shutil
import wave
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from src.dataloaders.cifar import TEST_FILES, TRAIN_FILES
from src.dataloaders.digits import FILE
from src.dataloaders.root import EMBEDDED
from src.dataloaders.sc import SC10


def write_mnist(folder: Path) -> None:
    """20 + 20 images, gzipped training files."""
    rng = np.random.default_rng(1)
    for part in ("train", "t10k"):
        arrays = {"images-idx3": rng.integers(0, 256, (20, 28, 28), dtype=np.uint8)}
        arrays["labels-idx1"] = np.arange(20, dtype=np.uint8) % 10
        for kind, array in arrays.items():
            data = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">i4").tobytes() + array.tobytes()
            name = f"{part}-{kind}-ubyte"
            if part == "train":
                (folder / f"{name}.gz").write_bytes(gzip.compress(data, mtime=0))
            else:
                (folder / name).write_bytes(data)


def write_cifar(folder: Path) -> None:
    """Six files of 20 records."""
    rng = np.random.default_rng(0)
    for file in TRAIN_FILES + TEST_FILES:
        records = rng.integers(0, 256, (20, 3073), dtype=np.uint8)
        records[:, 0] = np.arange(20) % 10
        (folder / file).write_bytes(records.tobytes())


def write_digits(folder: Path) -> None:
    """The file that ships with the project."""
    shutil.copyfile(EMBEDDED / FILE, folder / FILE)


LISTOPS = (
    "( ( ( ( [MAX 2 ) 9 ) ( ( ( [MIN 4 ) 7 ) ] ) ) ] )\t9",
    "( ( ( [SM 8 ) 5 ) ] )\t3",
    "( ( ( [MED 1 ) 4 ) ] )\t2",
)


def write_listops(folder: Path) -> None:
    """Three expressions a split, and the settings that a generator leaves."""
    for split in ("train", "val", "test"):
        (folder / f"basic_{split}.tsv").write_text("\n".join(["Source\tTarget", *LISTOPS]) + "\n")
    (folder / "generator.json").write_text('{"generator": "listops", "train": 3, "val": 3, "test": 3}')


def write_imdb(folder: Path) -> None:
    """Two reviews a folder."""
    for split in ("train", "test"):
        for label, texts in {"neg": ("bad bad film", "aaaa"), "pos": ("good film\u00e9", "x" * 50)}.items():
            (folder / split / label).mkdir(parents=True)
            for i, text in enumerate(texts):
                (folder / split / label / f"{i}_7.txt").write_text(text, encoding="utf-8")


def write_aan(folder: Path) -> None:
    """Two pairs a split."""
    rows = ['1\ta1\tb1\tdeep "nets\tshort', "0\ta2\tb2\tx\ta long document"]
    for split in ("train", "eval", "test"):
        (folder / f"new_aan_pairs.{split}.tsv").write_text("\n".join(rows) + "\n")


def write_wav(path: Path, samples: np.ndarray, rate: int = 16_000, width: int = 2) -> None:
    """Writes a mono clip."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(width)
        file.setframerate(rate)
        file.writeframes(samples.astype("<i2").tobytes())


def write_speech(folder: Path) -> None:
    """Three clips of each of the ten commands, one a split."""
    rng = np.random.default_rng(0)
    for word in SC10:
        for k in range(3):
            write_wav(folder / word / f"a_nohash_{k}.wav", rng.integers(-3000, 5000, 16_000 if k else 12_345))
    (folder / "validation_list.txt").write_text("".join(f"{word}/a_nohash_1.wav\n" for word in SC10))
    (folder / "testing_list.txt").write_text("".join(f"{word}/a_nohash_2.wav\n" for word in SC10))


def write_pathfinder(folder: Path) -> None:
    """Twenty images, and the settings that a generator leaves."""
    rng = np.random.default_rng(0)
    (folder / "metadata").mkdir()
    (folder / "imgs" / "0").mkdir(parents=True)
    for i in range(20):
        png = io.BytesIO()
        Image.fromarray(rng.integers(0, 256, (32, 32), dtype=np.uint8)).save(png, "PNG")
        (folder / "imgs" / "0" / f"sample_{i}.png").write_bytes(png.getvalue())
    lines = "".join(f"imgs/0 sample_{i}.png {i} {i % 2} 1.0 14\n" for i in range(20))
    (folder / "metadata" / "0.npy").write_text(lines)
    (folder / "generator.json").write_text('{"generator": "pathfinder", "num": 20}')


def write_own(folder: Path) -> None:
    """Thirty sequences and texts of two classes in each format that a user may bring."""
    x, y = np.random.default_rng(3).normal(size=(30, 5)), np.arange(30) % 2
    np.savez(folder / "a.npz", x=x, y=y)
    rows = [f"{label},{','.join(f'{value:.3f}' for value in row)}" for row, label in zip(x, y, strict=True)]
    (folder / "wide.csv").write_text("\n".join(["label,a,b,c,d,e", *rows]) + "\n")
    rows = [f"{i},{t},{x[i, t]:.3f},{y[i]}" for i in range(30) for t in range(5)]
    (folder / "long.csv").write_text("\n".join(["id,time,a,label", *rows]) + "\n")
    rows = [f"{','.join(f'{value:.3f}' for value in row)}:{label}" for row, label in zip(x, y, strict=True)]
    (folder / "a.ts").write_text("\n".join(["@timeStamps false", "@classLabel true 0 1", "@data", *rows]) + "\n")
    (folder / "texts.jsonl").write_text("".join(f'{{"text": "text {i}", "label": {i % 2}}}\n' for i in range(30)))


@dataclass(frozen=True)
class SmallSet:
    """A set, where its files go under `data_dir`, and the files to damage.

    `whole`: files whose every cut is refused; of the others a cut can leave fewer examples that are whole.
    """

    name: str
    write: Callable[[Path], None]
    folder: str
    whole: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)

    def make(self, root: Path) -> Path:
        """Writes the set under `root` and returns the folder of its files."""
        folder = root / self.folder
        folder.mkdir(parents=True, exist_ok=True)
        self.write(folder)
        return folder


SETS = (
    SmallSet(
        *("mnist", write_mnist, "mnist"),
        whole=(
            "train-images-idx3-ubyte.gz",
            "train-labels-idx1-ubyte.gz",
            "t10k-images-idx3-ubyte",
            "t10k-labels-idx1-ubyte",
        ),
    ),
    SmallSet("cifar", write_cifar, "cifar-10-batches-bin", whole=("data_batch_2.bin", "test_batch.bin")),
    SmallSet("digits", write_digits, ".", whole=(FILE,)),
    SmallSet(
        "listops", write_listops, "listops", whole=("generator.json",), texts=("basic_train.tsv", "basic_test.tsv")
    ),
    SmallSet("imdb", write_imdb, "aclImdb", texts=("train/pos/0_7.txt", "test/neg/1_7.txt"), options={"min_freq": 1}),
    SmallSet("aan", write_aan, "aan", texts=("new_aan_pairs.train.tsv", "new_aan_pairs.test.tsv")),
    SmallSet(
        *("sc", write_speech, "speech_commands"),
        whole=("yes/a_nohash_0.wav", "go/a_nohash_2.wav"),
        texts=("validation_list.txt", "testing_list.txt"),
    ),
    SmallSet(
        *("pathfinder", write_pathfinder, "pathfinder32/curv_contour_length_14"),
        whole=("imgs/0/sample_3.png", "generator.json"),
        texts=("metadata/0.npy",),
    ),
    SmallSet("file", write_own, ".", whole=("a.npz",), options={"path": "a.npz"}),
    *(
        SmallSet("file", write_own, ".", texts=(name,), options={"path": name})
        for name in ("wide.csv", "long.csv", "a.ts", "texts.jsonl")
    ),
)
