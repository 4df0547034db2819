"""`python -m src.dataloaders {list,prepare,check}`: what is there, get it, is it right."""

import argparse
import os
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ..config.command_line import SuggestingParser
from ..errors import UserError, run_door
from .generate.sheet import write_sheet
from .load import DATASETS, check, check_options, find_dataset, load
from .obtain.prepare import CAN_GENERATE, COMMAND, generate, is_ready, prepare
from .obtain.recipes import RECIPES
from .root import data_root

LEVELLED = ("pathfinder", "pathx")
OWN = ("path", "test_path", "label", "target")  # options of `check file`


def main(argv: list[str] | None = None) -> int:
    """Runs one command; returns the exit code."""
    arguments = _parser().parse_args(argv)
    if arguments.root is not None:
        os.environ["DATA_PATH"] = arguments.root
    if data_root().exists() and not data_root().is_dir():
        raise UserError(f"{data_root()}: the data root is a file, expected a folder")
    return {"list": _list, "check": _check_all, "prepare": _prepare}[arguments.command](arguments)


def _parser() -> SuggestingParser:
    parser = SuggestingParser(prog="python -m src.dataloaders", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, summary in (
        ("list", "which data sets are there, and what must lie where"),
        ("prepare", "get or make one"),
        ("check", "is it right"),
    ):
        command = commands.add_parser(name, help=summary, description=summary)
        command.add_argument("--root", metavar="DIR", help="folder of the data (default: $DATA_PATH, else ./data)")
    _add_prepare(commands.choices["prepare"])
    _add_check(commands.choices["check"])
    return parser


def _add_check(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", nargs="?", default="all", help=f"{', '.join(DATASETS)} (default: all that are there)")
    parser.add_argument("--path", metavar="FILE", help="of your own data: `check file --path X` says what is in X")
    parser.add_argument("--test-path", metavar="FILE", help="of your own data: a second file, the test split")
    parser.add_argument("--label", metavar="COLUMN", help="of your own table: the column of the label")
    parser.add_argument(
        "--target", choices=("auto", "class", "number"), help="of your own data: what labels are (default: auto)"
    )
    parser.add_argument("--sheet", type=_png, metavar="PNG", help="write a contact sheet of an image set")
    _add_variant(parser)


def _add_prepare(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", help=", ".join(DATASETS))
    _add_variant(parser)
    parser.add_argument(
        "--archive", type=Path, nargs="+", default=[], metavar="FILE", help="files that are already here"
    )
    parser.add_argument(
        "--mirror", type=_address, metavar="URL", help="folder on a server that holds the files under their names"
    )
    parser.add_argument("--generate", action="store_true", help=f"make it here: {', '.join(CAN_GENERATE)}")
    parser.add_argument("--num", type=_count, metavar="N", help="pathfinder: images; listops: training expressions")
    parser.add_argument(
        "--num-eval", type=_count, metavar="N", help="listops: expressions for each of validation and test"
    )
    parser.add_argument("--seed", type=_seed, metavar="S", help="of the generator (default 0)")
    parser.add_argument(
        "--workers", type=_count, metavar="W", default=len(os.sched_getaffinity(0)), help="processes of the generator"
    )


def _add_variant(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--resolution", type=_count, metavar="SIDE", help="of pathfinder: 32, or 128 which is pathx")
    parser.add_argument("--level", help="of pathfinder and pathx: easy, intermediate or hard (default: hard, LRA's)")


def _whole(text: str, least: int, most: int) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 20 and least <= int(text) <= most):
        raise argparse.ArgumentTypeError(f"expected a whole number from {least:,} to {most:,}, got '{text[:40]}'")
    return int(text)


def _count(text: str) -> int:
    return _whole(text, 1, 1_000_000_000)


def _seed(text: str) -> int:
    return _whole(text, 0, (1 << 63) - 1)


def _address(text: str) -> str:
    """An address of the web that the files' names can follow."""
    try:
        parts = urlsplit(text)
        whole = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        whole = False
    if not whole or not text.isascii() or not text.isprintable() or " " in text or parts.query or parts.fragment:
        raise argparse.ArgumentTypeError(f"expected an address such as https://host/folder, got '{text[:80]}'")
    return text


def _png(text: str) -> Path:
    """A file that can be written; looked at before anything is computed."""
    path = Path(text)
    if path.suffix.lower() != ".png":
        raise argparse.ArgumentTypeError(f"expected a file name that ends in .png, got '{text[:80]}'")
    existing = next(folder for folder in (path.absolute(), *path.absolute().parents) if folder.exists())
    if path.is_dir() or (existing != path.absolute() and not existing.is_dir()) or not os.access(existing, os.W_OK):
        raise argparse.ArgumentTypeError(f"{text}: cannot be written")
    return path


def _prepare(arguments: argparse.Namespace) -> int:
    name = _resolve(arguments)
    if arguments.generate:
        if arguments.archive or arguments.mirror:
            raise UserError(
                "--generate makes the set here; --archive and --mirror take it from elsewhere: give one of them"
            )
        print(f"{name}: {generate(name, _request(name, arguments), arguments.workers)}")
        return 0
    for option in ("num", "num_eval", "seed", "level"):
        if getattr(arguments, option) is not None:
            raise UserError(f"--{option.replace('_', '-')} needs --generate")
    print(f"{name}: {prepare(name, arguments.archive, arguments.mirror)}")
    return 0


def _resolve(arguments: argparse.Namespace) -> str:
    find_dataset(arguments.name)
    if arguments.level is not None:
        if arguments.name not in LEVELLED:
            raise UserError(f"--level {arguments.level}: only pathfinder and pathx have levels")
        check_options(arguments.name, level=arguments.level)
    if arguments.resolution is None:
        return arguments.name
    if arguments.name not in LEVELLED or arguments.resolution not in (32, 128):
        raise UserError(f"--resolution {arguments.resolution}: only pathfinder has one, 32 or 128")
    return "pathx" if arguments.resolution == 128 else "pathfinder"


def _request(name: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """The arguments of the generator's request that the user gave."""
    if name == "listops":
        given = {"train": arguments.num, "val": arguments.num_eval, "test": arguments.num_eval}
    else:
        if arguments.num_eval is not None:
            raise UserError(f"--num-eval: only listops has sizes of its own; {name} is split 80 / 10 / 10 %")
        given = {"num": arguments.num, "resolution": 128 if name == "pathx" else 32, "level": arguments.level}
    return {key: value for key, value in {**given, "seed": arguments.seed}.items() if value is not None}


def _list(arguments: argparse.Namespace) -> int:
    print(f"data root: {data_root()}")
    for name in DATASETS:
        options = check_options(name)
        if name == "file":
            status = f"yours    {options.layout.how}"
        elif is_ready(name):
            status = f"ready    {options.find()}"
        else:
            how = ["download"] if name in RECIPES and RECIPES[name].urls else ["--archive lra_release.gz"]
            how += ["--generate"] if name in CAN_GENERATE else []
            status = f"missing  {COMMAND} {name} ({' or '.join(how)})"
        print(f"{name:<14} {status}")
        print(f"{'':<14} layout   {options.layout.shows}")
    return 0


def _check_all(arguments: argparse.Namespace) -> int:
    if arguments.name != "all":
        return _check(_resolve(arguments), arguments)
    for option in ("sheet", "level", "resolution", *OWN):
        if getattr(arguments, option) is not None:
            raise UserError(f"--{option.replace('_', '-')} needs the name of a data set")
    for name in DATASETS:
        if is_ready(name):
            _check(name, arguments)
        elif name != "file":
            print(f"{name}: not there")
    return 0


def _check(name: str, arguments: argparse.Namespace) -> int:
    given = {key: getattr(arguments, key) for key in ("level", *OWN)}
    options = {key: value for key, value in given.items() if value is not None}
    for option in OWN:
        if option in options and name != "file":
            raise UserError(f"--{option.replace('_', '-')} is for your own data: check file --path FILE")
    print(f"{name}: {check(name, **options)}")
    if arguments.sheet is not None:
        write_sheet(load(name, **options), arguments.sheet)
        print(f"{name}: {arguments.sheet}")
    return 0


def _door() -> int:
    """`main`, with what a disk refuses (no space, no permission) said in one line."""
    try:
        return main()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise UserError(f"{error.strerror}: {error.filename or data_root()}") from None


if __name__ == "__main__":
    run_door(_door)
