"""One unbroken toy sweep, which every broken and resumed one is compared with."""

from pathlib import Path

import pytest

from tests.sweep.sweep_process import results
from tests.sweep.toy_sweep import toy_sweep


@pytest.fixture(scope="session")
def unbroken_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("unbroken")
    assert toy_sweep(out).exit_code == 0
    return out


@pytest.fixture(scope="session")
def unbroken(unbroken_folder: Path) -> dict[str, bytes]:
    return results(unbroken_folder)
