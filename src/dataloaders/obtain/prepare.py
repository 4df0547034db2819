"""`prepare NAME`: download or take an archive, unpack beside the final place, check, and only then move there."""

import contextlib
import shutil
from pathlib import Path
from typing import Any

from ...errors import UserError
from ..layout import PREPARE as COMMAND
from ..load import check, check_options, load
from ..pathfinder import LEVELS, is_broken_copy
from ..root import data_root
from .download import UnreachableError, fetch
from .recipes import LRA_URL, RECIPES, Recipe
from .unpack import by_pattern, unpack

SLACK = 2  # an archive may unpack to so many times the room that its set takes
CAN_GENERATE = ("listops", "pathfinder", "pathx")


def prepare(name: str, archives: list[Path], mirror: str | None = None) -> str:
    """Brings a data set under the data root; returns what was found there.

    Args:
        archives: files, or one unpacked folder, that the user has; none downloads.
        mirror: address of a folder with the same files, instead of the published address.

    Raises:
        UserError: no way to the data, or data that are not the set; nothing half is left in the final place.
    """
    recipe = RECIPES.get(name)
    if recipe is None or (not archives and is_ready(name)):
        return check(name)
    target = data_root() / recipe.target
    if target.exists() or target.is_symlink():
        raise UserError(f"{target} is there but is not the whole set; remove it and run the command again")
    if len(archives) == 1 and archives[0].is_dir():
        return _link(name, recipe, archives[0], target)
    _check_space(recipe)
    downloads = data_root() / ".downloads"
    files = archives or _download(name, recipe, downloads, mirror)
    found = _install(name, recipe, files, target)
    if not archives:
        _remove(downloads / name)
    return found


def is_ready(name: str) -> bool:
    """Tells whether the files of a set are where they are looked for, whatever is in them."""
    try:
        check_options(name).find()
    except UserError:
        return False
    return True


def _check_space(recipe: Recipe) -> None:
    root = data_root()
    root.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(root).free
    if free < recipe.disk:
        raise UserError(
            f"{root}: {free / 1e9:.1f} GB free, about {recipe.disk / 1e9:.1f} GB needed; set DATA_PATH to another disk"
        )


def _download(name: str, recipe: Recipe, downloads: Path, mirror: str | None) -> list[Path]:
    if not recipe.urls:
        generate = f", or make it with `{COMMAND} {name} --generate`" if name in CAN_GENERATE else ""
        raise UserError(
            f"{name}: comes from LRA's archive, which has no working download known to us; "
            f"with a copy of {LRA_URL} run `{COMMAND} {name} --archive lra_release.gz`{generate}"
        )
    files = []
    for published, md5 in recipe.urls:
        url = published if mirror is None else f"{mirror.rstrip('/')}/{Path(published).name}"
        files.append(downloads / name / Path(published).name)
        try:
            if not files[-1].is_file():
                fetch(url, files[-1], md5)
        except UnreachableError as error:
            raise UserError(f"{error}; {_by_hand(name, recipe)}") from None
    return files


def _by_hand(name: str, recipe: Recipe) -> str:
    names = " ".join(Path(url).name for url, _ in recipe.urls)
    fetches = " ".join(f"-O {url}" for url, _ in recipe.urls)
    return f"where there is a network, run `curl -L {fetches}`, then here `{COMMAND} {name} --archive {names}`"


def _install(name: str, recipe: Recipe, files: list[Path], target: Path) -> str:
    """Unpacks or copies into a scratch folder, checks that, and moves it to `target`."""
    scratch = data_root() / ".unpacking" / name
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    try:
        for file in files:
            _take(name, recipe, file, scratch)
        found = check(name, data_dir=str(scratch))
        target.parent.mkdir(parents=True, exist_ok=True)
        scratch.rename(target)
    finally:
        _remove(scratch)
    return found


def _remove(folder: Path) -> None:
    """Removes a folder and the one above it when that is left empty."""
    shutil.rmtree(folder, ignore_errors=True)
    with contextlib.suppress(OSError):
        folder.parent.rmdir()


def _take(name: str, recipe: Recipe, file: Path, scratch: Path) -> None:
    if not file.is_file():
        raise UserError(f"--archive {file}: no such file")
    if recipe.pattern is None:
        allowed = {Path(url).name for url, _ in recipe.urls}
        if file.name not in allowed | {allowed_name.removesuffix(".gz") for allowed_name in allowed}:
            raise UserError(f"--archive {file}: not one of {', '.join(sorted(allowed))}")
        if file.stat().st_size > recipe.disk:
            raise UserError(f"--archive {file}: {file.stat().st_size:,} bytes are far more than the published file")
        shutil.copyfile(file, scratch / file.name)
    elif unpack(file, scratch, by_pattern(recipe.pattern), SLACK * recipe.disk) == 0:
        broken = "; the pathfinder128 outside lra_release/lra_release/ is broken and refused" if name == "pathx" else ""
        raise UserError(f"--archive {file}: holds no files of {name}{broken}")


def _link(name: str, recipe: Recipe, folder: Path, target: Path) -> str:
    """Uses the files of an unpacked archive where they lie."""
    if recipe.folder is None:
        raise UserError(f"--archive {folder}: is a folder; give the downloaded file")
    for place in (folder / "lra_release" / "lra_release", folder / "lra_release", folder):
        source = place / recipe.folder
        if source.is_dir() and not is_broken_copy(source):
            found = check(name, data_dir=str(source))
            target.parent.mkdir(parents=True, exist_ok=True)
            target.symlink_to(source.resolve(), target_is_directory=True)
            return f"{found}, linked to {source}"
    raise UserError(f"--archive {folder}: no {recipe.folder} in it that is not the broken copy")


def generate(name: str, arguments: dict[str, Any], workers: int) -> str:
    """Makes ListOps or Pathfinder under the data root; returns what is there.

    Args:
        arguments: of the generator's request: seed, sizes and level.
    """
    from ..generate import listops, pathfinder
    from ..generate.sheet import write_sheet

    if name not in CAN_GENERATE:
        raise UserError(f"{name}: --generate makes {', '.join(CAN_GENERATE)} only")
    target = data_root() / RECIPES[name].target
    if name == "listops":
        listops.generate(target, listops.Request(**arguments), workers)
        return check(name)
    request = pathfinder.Request(**arguments)
    folder = target / LEVELS[request.level]
    pathfinder.generate(folder, request, workers)
    write_sheet(load(name, level=request.level), folder / "samples.png")
    return check(name, level=request.level)
