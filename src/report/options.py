"""What a user may ask of any report: single runs, whole tables, other picture formats."""

import argparse
from collections.abc import Iterable
from dataclasses import dataclass

from ..errors import did_you_mean
from ..sweep import Run

FORMATS = ("png", "pdf", "svg")


@dataclass(frozen=True)
class Options:
    """How a report is written and what of it is printed.

    Attributes:
        runs: a table of single runs beside the one of settings.
        full: tables whole, however wide and long.
        formats: of the pictures.
        asked: keys of the runs that the printed tables are about; None is all. Pages and files are about all runs there are.
    """

    runs: bool = False
    full: bool = False
    formats: tuple[str, ...] = ("png",)
    asked: frozenset[str] | None = None

    @classmethod
    def of(cls, args: argparse.Namespace, runs: Iterable[Run] | None = None) -> "Options":
        """Returns what the command line asked for, about these runs."""
        asked = None if runs is None else frozenset(run.key for run in runs)
        return cls(args.runs, args.full, args.format, asked)


DEFAULT = Options()


def add_report_arguments(parser: argparse.ArgumentParser, prefix: str = "") -> None:
    """Adds --runs, --full and --format; `prefix` opens their help."""
    add = parser.add_argument
    add("--runs", action="store_true", help=f"{prefix}print single runs too, not only means over seeds")
    add("--full", action="store_true", help=f"{prefix}print tables whole (default: 100 columns, 40 lines)")
    text = f"{prefix}of the pictures, such as png,pdf,svg (default: png)"
    add("--format", type=format_list, default=("png",), metavar="LIST", help=text)


def format_list(text: str) -> tuple[str, ...]:
    """Returns the formats of a comma-separated list."""
    names = tuple(dict.fromkeys(text.split(",")))
    for name in names:
        if name not in FORMATS:
            raise argparse.ArgumentTypeError(f"no format '{name}'{did_you_mean(name, FORMATS)}")
    return names
