"""The layer map of src/README.md as a test: imports point one way, files stay livable, importing does nothing."""

import ast
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from scipy.sparse.csgraph import connected_components

ROOT = Path(__file__).parents[1]
SRC = ROOT / "src"

# package -> packages of src that it may import from (besides itself and `errors`)
MAY_IMPORT = {
    "errors": set(),
    "say": set(),
    "cost": set(),
    "variables": set(),
    "stop": set(),
    "cache": set(),
    "tables": set(),
    "resources": set(),
    "files": set(),
    "lazy": {"resources"},
    "config": set(),
    "linalg": {"config.command_line"},  # for the door `python -m src.linalg.ptd`
    "ops": {"linalg"},
    "kernels": {"ops", "linalg", "config"},
    "layers": {"kernels", "ops", "linalg", "config"},
    "models": {"layers", "kernels", "ops", "linalg", "config"},
    "theory": {"ops", "linalg", "config"},
    "tasks": set(),
    "dataloaders": {"config"},
    "tracking": {"config"},
    "sweep": {"tracking", "config"},
    "engine": {"tracking", "config", "models", "layers", "kernels", "ops", "linalg"},
    "report": {"sweep", "tracking", "config", "theory", "linalg"},
    "bench": {"theory", "models", "layers", "kernels", "ops", "linalg", "tasks", "engine", "tracking", "config"},
    "experiments": None,  # the top: everything
    "api": None,  # the public names
    "console": {"api"},  # hands on to any module by name
    "export": {"experiments", "config"},
}


def modules() -> list[Path]:
    return sorted(path for path in SRC.rglob("*.py") if path.name != "__init__.py" or path.parent != SRC)


def imported(path: Path) -> set[str]:
    """Modules of src that the file imports anywhere, without the leading `src.`."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            module = absolute(path, node)
            names |= {f"{module}.{alias.name}" for alias in node.names}
    return {name.removeprefix("src.") for name in names if name.startswith("src.")}


def absolute(path: Path, node: ast.ImportFrom) -> str:
    """The full name of the module that a `from ... import` names; relative ones start at the file's own package."""
    if node.level == 0:
        return node.module
    inside = path.relative_to(ROOT).parent.parts
    return ".".join((*inside[: len(inside) - node.level + 1], *([node.module] if node.module else [])))


def package(path: Path) -> str:
    return path.relative_to(SRC).parts[0].removesuffix(".py")


def files_imported(path: Path) -> Iterator[Path]:
    """Files of src that a file imports anywhere, inside functions too; absolute and relative imports alike."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            module = ROOT.joinpath(*absolute(path, node).split("."))
            for alias in node.names:
                yield from (as_file(module / alias.name) or as_file(module) or [])
        elif isinstance(node, ast.Import):
            for alias in node.names:
                yield from as_file(ROOT.joinpath(*alias.name.split("."))) or []
    for owner in handed_on_from(path):
        yield from as_file(path.parent / owner)


def handed_on_from(path: Path) -> list[str]:
    """Modules whose names a package hands on when they are first asked for (`lazy.attach`), none for another file."""
    for node in ast.parse(path.read_text()).body if path.name == "__init__.py" else []:
        if isinstance(node, ast.Assign) and [getattr(target, "id", None) for target in node.targets] == ["PLACES"]:
            return list(ast.literal_eval(node.value))
    return []


def as_file(module: Path) -> list[Path]:
    return [
        file for file in (module.with_suffix(".py"), module / "__init__.py") if SRC in file.parents and file.is_file()
    ]


def circles(graph: dict[Path, set[Path]]) -> list[list[str]]:
    """Groups of files that reach each other by imports; a group of one imports itself."""
    files = sorted(graph)
    edges = np.array([[other in graph[file] for other in files] for file in files])
    groups = defaultdict(list)
    for file, group in zip(files, connected_components(edges, connection="strong")[1], strict=True):
        groups[group].append(file)
    names = lambda group: [str(file.relative_to(SRC)) for file in group]
    return [names(group) for group in groups.values() if len(group) > 1 or group[0] in graph[group[0]]]


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(SRC)))
def test_imports_inside_are_relative(path):
    """The package is `src` here and `ssm_experiments` where it is installed, and works under either name."""
    for node in ast.walk(ast.parse(path.read_text())):
        names = [node.module or ""] if isinstance(node, ast.ImportFrom) and node.level == 0 else []
        names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        assert not any(name.split(".")[0] in ("src", "ssm_experiments") for name in names), (
            f"write it relative: {names}"
        )


def test_no_files_import_each_other_in_a_circle():
    graph = {path: set(files_imported(path)) for path in SRC.rglob("*.py")}
    assert sum(map(len, graph.values())) > 400  # the graph is there: imports were understood
    assert (
        SRC / "engine" / "loop.py" in graph[SRC / "engine" / "__init__.py"]
    )  # names that are handed on later count too
    assert circles(graph) == []


def test_a_circle_would_be_found():
    a, b, c = (SRC / name for name in ("a.py", "b.py", "c.py"))
    assert circles({a: {b}, b: {c}, c: {a}}) == [["a.py", "b.py", "c.py"]]
    assert circles({a: {b, c}, b: {c}, c: set()}) == []
    assert circles({a: {a}, b: set(), c: set()}) == [["a.py"]]


def test_every_package_has_its_place_in_the_map():
    assert {package(path) for path in modules()} <= set(MAY_IMPORT)


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(SRC)))
def test_imports_point_one_way(path):
    allowed = MAY_IMPORT[package(path)]
    if allowed is None:
        return
    allowed = allowed | {
        package(path),
        "errors",
        "say",
        "stop",
        "cost",
        "variables",
        "cache",
        "tables",
        "resources",
        "files",
        "lazy",
    }
    for name in imported(path):
        inside = any(name == place or name.startswith(f"{place}.") for place in allowed)
        assert inside, f"{path.relative_to(ROOT)} imports src.{name}; {package(path)} may import {sorted(allowed)}"


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(SRC)))
def test_files_and_functions_stay_livable(path):
    text = path.read_text()
    assert len(text.splitlines()) <= 350, "a file of one concept fits in 350 lines"
    tree = ast.parse(text)
    assert ast.get_docstring(tree), "a file opens with what it is"
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            assert node.end_lineno - node.lineno < 80, f"{node.name} has more than 80 lines"


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(SRC)))
def test_public_functions_are_documented(path):
    public = [
        node
        for node in ast.parse(path.read_text()).body
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith("_")
    ]
    missing = [node.name for node in public if not ast.get_docstring(node)]
    assert not missing, f"without docstring: {missing}"


def test_importing_prints_and_does_nothing():
    code = "import src, src.errors, src.config, src.sweep, src.theory.fit, src.models, src.kernels"
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")
