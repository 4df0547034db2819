"""What each data set is fetched from, and where its files go.

Checksums are the published ones. The archive of LRA (`lra_release.gz`, a gzipped tar of 8 GB) has no download here: its address is
reported to answer 403; a copy that a user has is taken with `--archive`.
"""

from dataclasses import dataclass

from .. import mnist

LRA_URL = "https://storage.googleapis.com/long-range-arena/lra_release.gz"
# Only a nested copy, or one repacked without the outer folder: beside the nested one lies a pathfinder128 whose labels do not
# fit its images.
_NESTED = r"(?:lra_release/lra_release/|(?!lra_release/)(?:.*/)?)"


@dataclass(frozen=True)
class Recipe:
    """How one set comes under the data root.

    target: folder under the root; pattern: names in an archive, whose group `path` leads under the target (None: plain files);
    urls: address and md5 of each file (none: only with --archive); disk: bytes needed, about; folder: of an unpacked archive.
    """

    target: str
    pattern: str | None
    urls: tuple[tuple[str, str], ...] = ()
    disk: int = 0
    folder: str | None = None


def _pathfinder(resolution: int, disk: int) -> Recipe:
    size = f"pathfinder{resolution}"
    pattern = _NESTED + size + r"/(?P<path>curv_contour_length_14/(?:imgs/\d+/[^/]+\.png|metadata/\d+\.npy))"
    return Recipe(f"pathfinder/{size}", pattern, disk=disk, folder=size)


def _idx_files(base: str, checksums: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    return tuple((f"{base}/{stem}.gz", md5) for stem, md5 in zip(mnist.STEMS, checksums, strict=True))


RECIPES: dict[str, Recipe] = {
    "cifar": Recipe(
        "cifar-10-batches-bin",
        r"(?:.*/)?cifar-10-batches-bin/(?P<path>[^/]+)",
        (("https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz", "c32a1d4ab5d03f1284b67883e8d87530"),),
        disk=360_000_000,
    ),
    "imdb": Recipe(
        "aclImdb",
        r"(?:.*/)?aclImdb/(?P<path>(?:train|test)/(?:pos|neg)/[^/]+\.txt)",
        (
            (
                "https://ai.stanford.edu/~amaas/data/sentiment/aclImdb_v1.tar.gz",
                "7c2ac02c03563afcf9b574c7e56c153a",
            ),
        ),
        disk=400_000_000,
    ),
    "mnist": Recipe(
        "mnist",
        None,
        _idx_files(
            "https://ossci-datasets.s3.amazonaws.com/mnist",
            (
                "f68b3c2dcbeaaa9fbdd348bbdeb94873",
                "d53e105ee54ea40749a09fcbcd1e9432",
                "9fb629c4189551a2d022fa330f9573f3",
                "ec29112dd5afa0611ce80d1b7f02629c",
            ),
        ),
        disk=30_000_000,
    ),
    "fashion_mnist": Recipe(
        "fashion_mnist",
        None,
        _idx_files(
            "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion",
            (
                "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
                "25c81989df183df01b3e8a0aad5dffbe",
                "bef4ecab320f06d8554ea6380940ec79",
                "bb300cfdad3c16e7a12a480ee83cd310",
            ),
        ),
        disk=70_000_000,
    ),
    "sc": Recipe(
        "speech_commands",
        r"(?P<path>(?:[a-z]+/[^/]+\.wav)|validation_list\.txt|testing_list\.txt)",
        (
            (
                "https://storage.googleapis.com/download.tensorflow.org/data/speech_commands_v0.02.tar.gz",
                "6b74f3901214cb2c2934e98196829835",
            ),
        ),
        disk=6_000_000_000,
    ),
    "listops": Recipe(
        "listops",
        r"(?:.*/)?listops-1000/(?P<path>basic_(?:train|val|test)\.tsv)",
        disk=1_000_000_000,
        folder="listops-1000",
    ),
    "aan": Recipe(
        "aan",
        r"(?:.*/)?tsv_data/(?P<path>new_aan_pairs\.(?:train|eval|test)\.tsv)",
        disk=12_000_000_000,
        folder="tsv_data",
    ),
    "pathfinder": _pathfinder(32, 1_500_000_000),
    "pathx": _pathfinder(128, 3_000_000_000),
}
