"""`python -m src.dataloaders {list,prepare,check}`: what is there, get it, is it right."""

import argparse
import os
from pathlib import Path
from typing import Any

from ..errors import UserError, run_door
from .generate.sheet import write_sheet
from .load import DATASETS, check_options, find_dataset, load
from .obtain.prepare import CAN_GENERATE, COMMAND, generate, is_ready, prepare
from .obtain.recipes import RECIPES
from .root import data_root


def main() -> int:
    """Runs one command; returns the exit code."""
    arguments = _parser().parse_args()
    if arguments.root is not None:
        os.environ["DATA_PATH"] = arguments.root
    if arguments.command == "list":
        return _list()
    names = list(DATASETS) if arguments.name == "all" else [_resolve(arguments)]
    if arguments.command == "check":
        options = {} if arguments.level is None else {"level": arguments.level}
        return max(_check(name, arguments.sheet, len(names) > 1, **options) for name in names)
    name = names[0]
    if arguments.generate:
        print(f"{name}: {generate(name, _plan(name, arguments), arguments.workers)}")
    else:
        _refuse_generator_options(arguments)
        print(f"{name}: {prepare(name, arguments.archive, arguments.mirror)}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m src.dataloaders", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, summary in (
        ("list", "which data sets are there"),
        ("prepare", "get or make one"),
        ("check", "is it right"),
    ):
        command = commands.add_parser(name, help=summary)
        command.add_argument("--root", metavar="DIR", help="folder of the data (default: $DATA_PATH, else ./data)")
    prepare_, check = commands.choices["prepare"], commands.choices["check"]
    prepare_.add_argument("name", help=", ".join(DATASETS))
    check.add_argument("name", nargs="?", default="all", help=f"{', '.join(DATASETS)} (default: all that are there)")
    check.add_argument("--sheet", type=Path, metavar="PNG", help="write a contact sheet of an image set")
    for command in (prepare_, check):
        command.add_argument("--resolution", type=int, help="of pathfinder: 32, or 128 which is pathx")
        command.add_argument(
            "--level", help="of pathfinder and pathx: easy, intermediate or hard (default: hard, LRA's)"
        )
    prepare_.add_argument(
        "--archive", type=Path, nargs="+", default=[], metavar="FILE", help="files that are already here"
    )
    prepare_.add_argument("--mirror", metavar="URL", help="folder on a server that holds the files under their names")
    prepare_.add_argument("--generate", action="store_true", help=f"make it here: {', '.join(CAN_GENERATE)}")
    prepare_.add_argument("--num", type=int, help="pathfinder: images; listops: training expressions")
    prepare_.add_argument("--num-eval", type=int, help="listops: expressions for each of validation and test")
    prepare_.add_argument("--seed", type=int, help="of the generator (default 0)")
    prepare_.add_argument(
        "--workers", type=int, default=len(os.sched_getaffinity(0)), help="processes of the generator"
    )
    return parser


def _resolve(arguments: argparse.Namespace) -> str:
    find_dataset(arguments.name)
    if arguments.level is not None and arguments.name not in ("pathfinder", "pathx"):
        raise UserError(f"--level {arguments.level}: only pathfinder and pathx have levels")
    if arguments.resolution is None:
        return arguments.name
    if arguments.name not in ("pathfinder", "pathx") or arguments.resolution not in (32, 128):
        raise UserError(f"--resolution {arguments.resolution}: only pathfinder has one, 32 or 128")
    return "pathx" if arguments.resolution == 128 else "pathfinder"


def _plan(name: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """The arguments of the generator's plan that the user gave."""
    if name == "listops":
        given = {"train": arguments.num, "val": arguments.num_eval, "test": arguments.num_eval}
    else:
        if arguments.num_eval is not None:
            raise UserError(f"--num-eval: only listops has sizes of its own; {name} is split 80 / 10 / 10 %")
        given = {"num": arguments.num, "resolution": 128 if name == "pathx" else 32, "level": arguments.level}
    return {key: value for key, value in {**given, "seed": arguments.seed}.items() if value is not None}


def _refuse_generator_options(arguments: argparse.Namespace) -> None:
    for option in ("num", "num_eval", "seed", "level"):
        if getattr(arguments, option) is not None:
            raise UserError(f"--{option.replace('_', '-')} needs --generate")


def _list() -> int:
    print(f"data root: {data_root()}")
    for name, (module, _) in DATASETS.items():
        if is_ready(name):
            status = f"ready    {module.find(check_options(name))}"
        else:
            how = ["download"] if name in RECIPES and RECIPES[name].urls else ["--archive lra_release.gz"]
            how += ["--generate"] if name in CAN_GENERATE else []
            status = f"missing  {COMMAND} {name} ({' or '.join(how)})"
        print(f"{name:<14} {status}")
    return 0


def _check(name: str, sheet: Path | None, skip_missing: bool, **options: Any) -> int:
    if skip_missing and not is_ready(name):
        print(f"{name}: not there")
        return 0
    print(f"{name}: {find_dataset(name).check(check_options(name, **options))}")
    if sheet is not None:
        write_sheet(load(name, **options), sheet)
        print(f"{name}: {sheet}")
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
