"""Sequential Fashion-MNIST (Xiao et al., arXiv 1708.07747): MNIST's layout and sizes, ten kinds of clothes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from . import mnist
from .layout import Layout

__all__ = ["Options", "check", "load"]


@dataclass(frozen=True, kw_only=True)
class Options(mnist.Options):
    """As of MNIST."""

    layout: ClassVar[Layout] = mnist.idx_layout("fashion_mnist", "FashionMNIST")
    md5: ClassVar[Mapping[str, str]] = mnist.by_stem(
        "f4a8712d7a061bf5bd6d2ca38dc4d50a",
        "9018921c3c673c538a1fc5bad174d6f9",
        "8181f5470baa50b63fa0f6fddb340f0a",
        "15d484375f8d13e6eb1aabb0c3f46965",
    )


load, check = mnist.load, mnist.check
