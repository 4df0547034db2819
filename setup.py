"""What pyproject.toml cannot say: the folder `src` is the package `ssm_experiments`, which holds `configs` and `data`."""

from pathlib import Path

from setuptools import find_packages, setup

NAME = "ssm_experiments"


def files_below(folder: str) -> list[str]:
    """Every file below a folder that is no Python code, as the package's data."""
    files = (path for path in Path(folder).rglob("*") if path.is_file() and path.suffix not in (".py", ".pyc"))
    return sorted(path.relative_to(folder).as_posix() for path in files)


setup(
    packages=[NAME, *(f"{NAME}.{name}" for name in find_packages("src")), f"{NAME}.configs", f"{NAME}.data"],
    package_dir={NAME: "src", f"{NAME}.configs": "configs", f"{NAME}.data": "data"},
    package_data={
        NAME: files_below("src"),
        f"{NAME}.configs": files_below("configs"),
        f"{NAME}.data": ["*.mat", "*.csv.gz", "README.md"],
    },
)
