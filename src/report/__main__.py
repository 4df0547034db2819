"""`python -m src.report <folder> ...`: rebuilds the tables and pictures of whatever experiments the folders hold.

Other words in place of the folders:
  theory-ptd                  draws P1's theory (arXiv 2310.01698), which needs no run
  theory-bounds               draws P2's statements in numbers (arXiv 2410.14067), which needs no run
  pack FOLDER ... --out TO    keeps results and learning curves of runs, without states, as two small CSV files
  unpack FROM --out FOLDER    makes run folders of them again, which reports read and sweeps continue
"""

import sys
from collections.abc import Callable
from pathlib import Path

from ..errors import UserError, did_you_mean, run_door
from ..lazy import later
from ..sweep.cli import SuggestingParser
from ..sweep.lock import check_writable
from .collect import experiments
from .options import Options, add_report_arguments
from .page import report_folder
from .reporters import REPORTERS


def main(arguments: list[str] | None = None) -> int:
    """Prints and writes the reports of all experiments found in the folders; returns the exit code.

    Raises UserError for a folder without runs, with runs of experiments that no report knows, or that cannot be written to.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments and arguments[0] in COMMANDS:
        return COMMANDS[arguments[0]](arguments[1:])
    parser = SuggestingParser(prog="python -m src.report", description=__doc__)
    parser.add_argument("folders", nargs="+", type=Path, help="a sweep's --out, or one experiment's folder below it")
    add_report_arguments(parser)
    args = parser.parse_args(arguments)
    holds = {folder: list(_experiments(folder)) for folder in args.folders}
    unknown = sorted({name for names in holds.values() for name in names if not name.startswith(tuple(REPORTERS))})
    check_writable(report_folder(args.folders))
    for prefix, report in REPORTERS.items():
        own = [folder for folder, names in holds.items() if any(name.startswith(prefix) for name in names)]
        if own:
            print(report(own, Options.of(args)))
    if unknown:
        raise UserError(f"no report knows these experiments: {', '.join(unknown)}")
    return 0


def _experiments(folder: Path) -> dict[str, Path]:
    """The experiments in a folder; a word that is none may be a command, or a folder beside it, with a letter wrong."""
    if folder.exists():
        return experiments(folder)
    parent = folder.parent if folder.parent.is_dir() else Path(".")
    near = [str(parent / path.name) if parent != Path(".") else path.name for path in parent.iterdir() if path.is_dir()]
    words = [*COMMANDS, *sorted(name for name in near if not name.startswith("."))]
    raise UserError(f"{folder}: no such folder{did_you_mean(str(folder), words[:20])}")


COMMANDS: dict[str, Callable[[list[str]], int]] = {
    "theory-ptd": later("report.ptd_theory:main"),
    "theory-bounds": later("report.theory_bounds:main"),
    "pack": later("report.packed:main_pack"),
    "unpack": later("report.packed:main_unpack"),
}

if __name__ == "__main__":
    run_door(main)
