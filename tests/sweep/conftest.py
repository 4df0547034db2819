"""One unbroken toy sweep, which every broken and resumed one is compared with, and signals that arrive."""

import signal
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


@pytest.fixture(autouse=True)
def _signals_arrive():
    """Processes inherit what is ignored (SIGHUP under nohup, SIGINT in the background of a script), and these tests send both."""
    earlier = {number: signal.getsignal(number) for number in (signal.SIGHUP, signal.SIGINT)}
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    for number, handler in earlier.items():
        signal.signal(number, handler)
