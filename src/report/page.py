"""A report in the making: what is printed, the Markdown page, CSV files and pictures, all below `report/`.

A report remembers what it wrote (`report/.<name>.json`). The next one removes what no longer applies, and draws pictures anew only
where a run, a format or the code of the reports has changed.
"""

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import UserError
from ..tables import Table
from ..tracking.files import atomic_write, from_json, to_json
from . import style
from .collect import Record, collect, failures, notices, progress
from .options import Options

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Pictures = Iterable[tuple[str, "Figure", str]]  # (name of the file without ending, figure, caption)
_WATCHED = ("status.json", "result.json", "metrics.jsonl", "arrays.npz")


class Page:
    """One report: give it parts in reading order, then `finish`.

    Args:
        out: the folder that everything goes to.
        name: of the page, `<name>.md`, and of what it remembers.
        title, headline: of the printed text and of the page.
        expected: how many runs there should be, where the caller knows it and `options` do not say which.
    """

    def __init__(
        self,
        out: Path,
        name: str,
        title: str,
        headline: str,
        records: list[Record],
        options: Options,
        expected: int | None = None,
    ):
        self.out, self.name, self.records, self.options = out, name, records, options
        shown = self.asked(records)
        expected = len(options.asked) if options.asked is not None else expected
        self._text = [title, f"{progress(shown, expected)}.", *failures(shown), *notices(shown)]
        told = [*failures(records), *notices(records)]
        self._page = [f"# {headline}", "", f"{progress(records)}.", *[x for line in told for x in ("", line)]]
        self._files: list[str] = []
        self._figures: dict[str, list[list[str]]] = {}
        self._tables: dict[str, dict] = {}
        self._before = _remembered(self._memory)
        self._state = _fingerprint(records, options)

    @property
    def _memory(self) -> Path:
        return self.out / f".{self.name}.json"

    def asked(self, records: Iterable[Record]) -> list[Record]:
        """Those of the records that the printed text is about."""
        asked = self.options.asked
        return [record for record in records if asked is None or record.key in asked]

    def note(self, *lines: str) -> None:
        """A paragraph a line, printed and on the page."""
        self._text += lines
        self._page += [part for line in lines for part in ("", line)]

    def section(self, heading: str, records: Iterable[Record]) -> None:
        """Opens a section about the records; it is printed where any of them is asked for."""
        if self.asked(records):
            self._text += ["", heading]
        self._page += ["", f"## {heading[0].upper()}{heading[1:]}"]

    def table(self, make: Callable[[list[Record]], Table], records: list[Record], kept: str | None = None) -> Table:
        """Adds a table made from the records: of those asked for to the text, of all to the page; returns the latter.

        Args:
            kept: names a table that takes long to make: it is made anew only where a run or the code has changed.
        """
        if kept is not None:
            make = self._keeping(make, kept)
        shown, whole = self.asked(records), make(records)
        printed = whole if len(shown) == len(records) else make(shown) if shown else Table([])
        if printed.rows:
            self._text += ["", printed.text(self.options.full)]
        if whole.rows:
            self._page += ["", whole.markdown()]
        return whole

    def _keeping(self, make: Callable[[list[Record]], Table], name: str) -> Callable[[list[Record]], Table]:
        def made(records: list[Record]) -> Table:
            own = f"{name} {_digest(''.join(record.key for record in records))}"
            before = self._before.get("tables", {}).get(own) if self._before.get("state") == self._state else None
            table = make(records) if before is None else Table(**before)
            self._tables[own] = {field: getattr(table, field) for field in Table.__dataclass_fields__}
            return table

        return made

    def csv(self, name: str, table: Table) -> None:
        """Writes a table for programs."""
        self._write(name, table.csv())

    def pictures(self, group: str, draw: Callable[[], Pictures]) -> None:
        """Adds pictures to the page, drawn only where they would differ from those that are there.

        Args:
            group: names what `draw` draws among all of this report.
        """
        drawn = self._kept(group)
        if drawn is None:
            drawn = []
            with style.style():
                for name, figure, caption in draw():
                    style.save(figure, self.out / name, self.options.formats)
                    drawn.append([name, caption])
        self._figures[group] = drawn
        for name, caption in drawn:
            self._files += [f"{name}.{ending}" for ending in self.options.formats]
            shown = next((e for e in self.options.formats if e != "pdf"), None)
            link = f"![{name}]({name}.{shown})" if shown else f"[{name}]({name}.pdf)"
            self._page += ["", link, *(["", caption] if caption else [])]

    def _kept(self, group: str) -> list[list[str]] | None:
        """The pictures of the group that an earlier report drew from the same state and that are still there."""
        drawn = self._before.get("figures", {}).get(group)
        if drawn is None or self._before.get("state") != self._state:
            return None
        paths = [self.out / f"{name}.{ending}" for name, _ in drawn for ending in self.options.formats]
        return drawn if all(path.exists() for path in paths) else None

    def finish(self) -> str:
        """Writes the page, removes what an earlier report left, and returns the text to print."""
        self._write(f"{self.name}.md", "\n".join(self._page) + "\n")
        for name in set(self._before.get("files", [])) - set(self._files):
            (self.out / Path(name).name).unlink(missing_ok=True)
        memory = {"state": self._state, "files": sorted(self._files), "figures": self._figures}
        data = to_json(memory | {"tables": self._tables}, indent=1).encode()
        if not self._memory.exists() or self._memory.read_bytes() != data:
            atomic_write(self._memory, data)
        return "\n".join([*self._text, "", f"Tables and figures: {self.out}"])

    def _write(self, name: str, content: str) -> None:
        path, data = self.out / name, content.encode()
        if not path.exists() or path.read_bytes() != data:
            atomic_write(path, data)
        self._files.append(name)


@contextmanager
def open_page(
    folders: Sequence[Path] | Path,
    prefix: str,
    title: str,
    headline: str,
    options: Options,
    *,
    name: str | None = None,
    expected: int | None = None,
) -> Iterator[Page]:
    """Gives a page on the runs of `prefix...`, in `report/` below the folder, or below what several have in common.

    Raises UserError where there is no such run, or when the disk refuses what is written inside.
    """
    folders = [Path(folders)] if isinstance(folders, (str, Path)) else [Path(folder) for folder in folders]
    records, out = collect(folders, prefix), report_folder(folders)
    try:
        out.mkdir(parents=True, exist_ok=True)
        yield Page(out, name or prefix.rstrip("-"), title, headline, records, options, expected)
    except OSError as error:
        raise UserError(
            f"{out}: the report cannot be written ({error.strerror}); free space or choose another folder"
        ) from None


def report_folder(folders: Sequence[Path]) -> Path:
    """Returns where the report on these folders goes."""
    return Path(os.path.commonpath([folder.resolve() for folder in folders])) / "report"


def _remembered(path: Path) -> dict:
    try:
        memory = from_json(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return memory if isinstance(memory, dict) else {}


def _fingerprint(records: Iterable[Record], options: Options) -> str:
    """Changes with any run's files, the formats, and the code of the reports."""
    digest = hashlib.sha256(f"{_code()} {options.formats}".encode())
    for record in records:
        digest.update(f"{record.experiment}/{record.key} {record.state}".encode())
        for name in _WATCHED:
            try:
                stat = os.stat(record.folder.path / name)
            except OSError:
                continue
            digest.update(f"{name} {stat.st_mtime_ns} {stat.st_size}".encode())
    return digest.hexdigest()


@cache
def _code() -> str:
    here = Path(__file__).parents[1]
    files = [path for package in ("report", "theory", "linalg") for path in sorted((here / package).rglob("*.py"))]
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]
