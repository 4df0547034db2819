"""Sequential Fashion-MNIST (Xiao et al., arXiv 1708.07747): MNIST's layout and sizes, ten kinds of clothes."""

from pathlib import Path

from src.dataloaders import mnist
from src.dataloaders.base import Splits
from src.dataloaders.root import find_folder

NAME = "fashion_mnist"
FOLDERS = (NAME, "FashionMNIST/raw", f"{NAME}/FashionMNIST/raw")
Options = mnist.Options


def load(options: Options) -> Splits:
    """Returns 54,000 / 6,000 / 10,000 images with the default options."""
    return mnist.load_from(find(options.data_dir), options, NAME)


def find(data_dir: str | None = None) -> Path:
    """Returns the folder of the four files."""
    return find_folder(NAME, data_dir, FOLDERS, mnist.probes())
