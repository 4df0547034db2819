"""Signals as a level: the first asks, the second insists, a hang-up or a scheduler's warning never does."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from src import stop
from src.stop import StopSignals

ROOT = Path(__file__).resolve().parents[1]
ASKING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)


def send(signum: int) -> None:
    os.kill(os.getpid(), signum)


@pytest.fixture(autouse=True)
def no_pause(monkeypatch):
    """The tests insist at once. In a shell's background jobs SIGINT is ignored; here it is not."""
    monkeypatch.setattr(stop, "_ECHO_SECONDS", 0.0)
    earlier = {signum: signal.signal(signum, signal.SIG_DFL) for signum in ASKING}
    yield
    for signum, handler in earlier.items():
        signal.signal(signum, handler)


@pytest.mark.parametrize("signum", ASKING)
def test_the_first_signal_asks_and_handlers_are_put_back(signum, capfd):
    earlier = signal.getsignal(signum)
    with StopSignals("stopping after this step") as signals:
        assert not signals.asked()
        send(signum)
        assert signals.asked()
        assert signals.level() == 1
    assert signal.getsignal(signum) is earlier
    assert f"{signal.Signals(signum).name}: stopping after this step" in capfd.readouterr().err


@pytest.mark.parametrize(("first", "second", "level"), [
    (signal.SIGINT, signal.SIGINT, 2),
    (signal.SIGINT, signal.SIGTERM, 2),
    (signal.SIGHUP, signal.SIGHUP, 1),  # kernel and shell both send it when a terminal hangs up
    (signal.SIGHUP, signal.SIGTERM, 1),
    (signal.SIGUSR1, signal.SIGTERM, 1),  # a scheduler's warning and then its request
    (signal.SIGTERM, signal.SIGHUP, 1),
])  # fmt: skip
def test_what_insists(first, second, level):
    with StopSignals() as signals:
        send(first)
        send(second)
        assert signals.level() == level


def test_an_echo_of_the_first_signal_does_not_insist(monkeypatch):
    """A Ctrl-C reaches the processes of torchrun from the terminal and from torchrun."""
    monkeypatch.setattr(stop, "_ECHO_SECONDS", 60.0)
    with StopSignals() as signals:
        send(signal.SIGINT)
        send(signal.SIGINT)
        assert signals.level() == 1


def test_what_nohup_ignores_stays_ignored():
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with StopSignals() as signals:
        send(signal.SIGHUP)
        assert signals.level() == 0


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, -signal.SIGTERM)])
def test_the_second_signal_ends_a_script(signum, code):
    program = (
        "import os, signal, time\n"
        "from src import stop\n"
        "from src.errors import run_door\n"
        "stop._ECHO_SECONDS = 0.0\n"
        "def main():\n"
        f"    signal.signal({signum}, signal.default_int_handler if {signum} == signal.SIGINT else signal.SIG_DFL)\n"
        "    with stop.StopSignals('first', ends=True):\n"
        f"        os.kill(os.getpid(), {signum})\n"
        f"        os.kill(os.getpid(), {signum})\n"
        "        time.sleep(60)\n"
        "run_door(main)\n"
    )
    started = time.monotonic()
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == code
    assert "first" in done.stderr
    assert time.monotonic() - started < 30
