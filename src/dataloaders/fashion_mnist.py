"""Sequential Fashion-MNIST (Xiao et al., arXiv 1708.07747): MNIST's layout and sizes, ten kinds of clothes."""

from pathlib import Path

from . import mnist
from .base import Splits
from .root import find_folder

NAME = "fashion_mnist"
FOLDERS = (NAME, "FashionMNIST/raw", f"{NAME}/FashionMNIST/raw")
Options = mnist.Options
# of the files without gzip
MD5 = dict(
    zip(
        mnist.STEMS,
        (
            "f4a8712d7a061bf5bd6d2ca38dc4d50a",
            "9018921c3c673c538a1fc5bad174d6f9",
            "8181f5470baa50b63fa0f6fddb340f0a",
            "15d484375f8d13e6eb1aabb0c3f46965",
        ),
        strict=True,
    )
)


def load(options: Options) -> Splits:
    """Returns 54,000 / 6,000 / 10,000 images with the default options."""
    return mnist.load_from(find(options), options, NAME)


def find(options: Options) -> Path:
    """Returns the folder of the four files."""
    return find_folder(NAME, options.data_dir, FOLDERS, mnist.probes())


def check(options: Options) -> str:
    """Returns what was found. Raises UserError unless there are 60,000 + 10,000 images with the known checksums."""
    return mnist.check_files(find(options), NAME, MD5)
