"""What lies where: the folder of a data set, the files that belong there, and how to get them."""

from dataclasses import dataclass
from pathlib import Path

from ..errors import UserError
from ..files import read_json, unusable
from .root import data_root

RECORD = "generator.json"  # stands in the folder of a set that was generated here, with its settings
PREPARE = "python -m src.dataloaders prepare"


@dataclass(frozen=True)
class Layout:
    """A data set on disk.

    Attributes:
        name: of the set.
        folders: where it is looked for under the data root or `dataset.data_dir`; the latter may be the folder itself.
        files: patterns, each of which must have a file; alternatives are parted by '|'.
        shows: what a user must bring, as a folder and its files with their format, in one line.
        how: the commands that get the data, after "run "; the default prepares the set.
    """

    name: str
    folders: tuple[str, ...]
    files: tuple[str, ...]
    shows: str
    how: str = ""

    @property
    def command(self) -> str:
        """How to get the data: "run ...", or what else there is to do."""
        return self.how or f"run `{PREPARE} {self.name}`"

    @property
    def again(self) -> str:
        """How to get them again where they are damaged."""
        return f"remove the set's folder and {self.command}"

    def find(self, data_dir: str | None) -> Path:
        """Returns the first folder that holds any of the files.

        Args:
            data_dir: the user's own place; None looks under the data root.

        Raises:
            UserError: no such folder, or not all files in it; says where it was looked for and how to get the data.
        """
        base = data_root() if data_dir is None else Path(data_dir).expanduser()
        candidates = [base / folder for folder in self.folders] + ([base] if data_dir is not None else [])
        for folder in candidates:
            missing = [pattern for pattern in self.files if not _any(folder, pattern)]
            if not missing:
                return folder
            if len(missing) < len(self.files):
                raise UserError(
                    f"{self.name}: no {missing[0]} in {folder}, which should be {self.shows}; {self.command}"
                )
        places = " or ".join(map(str, candidates))
        raise UserError(f"{self.name}: no {self.files[0]} in {places}; {self.command}, or set dataset.data_dir")

    def error(self, path: Path, found: str, line: int | None = None) -> UserError:
        """Returns the error for a damaged file of the set, or for one of its lines."""
        return unusable(path, found, self.again, line)

    def recorded(self, folder: Path, key: str) -> int:
        """Returns a size in the `generator.json`. Raises UserError if the file is torn or the size is none."""
        size = read_json(folder / RECORD, "the settings of the generator", self.again).get(key)
        if type(size) is not int or size < 1:
            raise self.error(folder / RECORD, f"'{key}' = {size!r}, expected a number of examples")
        return size


def _any(folder: Path, pattern: str) -> bool:
    return any(next(folder.glob(alternative), None) is not None for alternative in pattern.split("|"))


def is_generated(folder: Path) -> bool:
    """Tells whether a set was made here."""
    return (folder / RECORD).exists()


def other_sizes(found: dict[str, int], published: dict[str, int]) -> str:
    """Returns what a note adds where a set has other sizes than the published one: nothing is hidden behind a familiar name."""
    if found == published:
        return ""
    sizes = (" / ".join(f"{n:,}" for n in those.values()) for those in (found, published))
    return " of {} examples, not the published {}".format(*sizes)
