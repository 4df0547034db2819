"""`python -m src.bench [theory kernels gpu ...]`: measures on this machine and prints, or writes, the speed tables."""

import re
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import torch

from ..config.command_line import SuggestingParser
from ..errors import UserError, did_you_mean, run_door
from ..files import check_file
from . import gpu, kernels, peers, scan, theory, train
from .timing import Table, markdown

BENCHES: dict[str, Callable[[bool], Iterable[Table]]] = {
    "theory": theory.tables,
    "kernels": kernels.tables,
    "scan": scan.tables,
    "train": train.tables,
    "peers": peers.tables,
    "gpu": gpu.tables,
}


def main() -> int:
    """Measures what was asked for; returns the exit code."""
    parser = SuggestingParser(prog="python -m src.bench", description=__doc__)
    parser.add_argument("names", nargs="*", help=f"{', '.join(BENCHES)}; all when left out, gpu where there is one")
    parser.add_argument("--quick", action="store_true", help="fewer repetitions, no kernel of length 16384")
    parser.add_argument(
        "--threads", type=int, default=1, help="torch threads (default 1, the setting of the published tables)"
    )
    parser.add_argument("--out", type=Path, help="Markdown file: each bench replaces its own section")
    options = parser.parse_args()
    for name in options.names:
        if name not in BENCHES:
            raise UserError(f"unknown bench '{name}'{did_you_mean(name, BENCHES)}")
    if options.threads < 1:
        raise UserError(f"--threads {options.threads}: expected 1 or more")
    if options.out:
        check_file(options.out)
    torch.set_num_threads(options.threads)
    for name in options.names or _possible():
        parts = []
        for table in BENCHES[name](options.quick):
            parts.append(markdown(table))
            print(parts[-1], end="\n\n", flush=True)
        if options.out:
            write_section(options.out, name, "\n\n".join(parts))
    return 0


def _possible() -> list[str]:
    """All benches that this machine can run."""
    missing = {
        "gpu": not torch.cuda.is_available() and "no CUDA device",
        "peers": not peers.installed() and "no peer is installed",
    }
    for name, why in missing.items():
        if why:
            print(f"{why}: without the bench {name}", file=sys.stderr)
    return [name for name in BENCHES if not missing.get(name)]


def write_section(path: Path, name: str, text: str) -> None:
    """Puts `text` between the markers of `name` in the file, at its end if it has none."""
    begin, end = f"<!-- begin {name} -->", f"<!-- end {name} -->"
    section = f"{begin}\n{text}\n{end}"
    old = path.read_text() if path.exists() else "# Speed\n"
    pattern = re.compile(re.escape(begin) + ".*?" + re.escape(end), re.DOTALL)
    new = pattern.sub(lambda _: section, old) if pattern.search(old) else f"{old.rstrip()}\n\n{section}\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(new)


if __name__ == "__main__":
    run_door(main)
