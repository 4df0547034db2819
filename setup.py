"""What pyproject.toml cannot say: the folder `src` is the package `ssm_experiments`, which holds `configs` and `data`."""

from pathlib import Path

from setuptools import find_packages, setup

NAME = "ssm_experiments"


def files_below(folder: str) -> list[str]:
    """Patterns of every file that is part of the package, one a folder."""
    return sorted(
        {f"{path.parent.relative_to(folder).as_posix()}/*".removeprefix("./") for path in Path(folder).rglob("*.*")}
    )


setup(
    packages=[NAME, *(f"{NAME}.{name}" for name in find_packages("src")), f"{NAME}.configs", f"{NAME}.data"],
    package_dir={NAME: "src", f"{NAME}.configs": "configs", f"{NAME}.data": "data"},
    package_data={f"{NAME}.configs": files_below("configs"), f"{NAME}.data": ["*.mat", "*.csv.gz", "README.md"]},
)
