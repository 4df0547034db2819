"""Weights & Biases is a guest: asked for, quiet, and never able to hurt a run or to leak a key."""

import http.server
import os
import socket
import subprocess
import sys
import threading
import time
import types
from pathlib import Path

import pytest

from src.errors import UserError
from src.sweep import RunFolder
from src.tracking.wandb_choice import WandbChoice, choose_wandb
from src.tracking.wandb_run import open_wandb
from tests.sweep.toy_sweep import toy_runs, toy_sweep
from tests.tracking.wandb_file import read_offline_run

KEY = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(autouse=True)
def no_account(monkeypatch, tmp_path):
    """The machine of a user who has never heard of W&B."""
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("NETRC", str(tmp_path / "no-netrc"))
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.fixture
def server():
    """A W&B host that answers everything with 401."""

    class Refuse(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(401)
            self.end_headers()

        do_POST = do_GET

        def log_message(self, *words: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Refuse) as host:
        threading.Thread(target=host.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{host.server_port}"
        host.shutdown()


@pytest.fixture
def dead_host():
    """An address that nobody listens at."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{unused.getsockname()[1]}"


@pytest.fixture
def deaf_host():
    """An address where calls are taken and never answered."""
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen()
        yield f"http://127.0.0.1:{deaf.getsockname()[1]}"


def test_auto_without_a_key_is_off_and_says_so_in_one_line(capsys):
    assert choose_wandb("auto", "P") == WandbChoice("disabled", "P")
    assert capsys.readouterr().out == "W&B: off (no key is configured); the local logs are complete\n"


def test_auto_with_a_key_and_a_host_is_online(monkeypatch, tmp_path, capsys, server):
    monkeypatch.setenv("WANDB_BASE_URL", server)
    assert choose_wandb("auto").mode == "disabled"
    (tmp_path / "netrc").write_text(f"machine {server.removeprefix('http://')} login user password {KEY}\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    assert choose_wandb("auto").mode == "online"
    monkeypatch.delenv("NETRC")
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    capsys.readouterr()
    assert choose_wandb("online").mode == "online"
    assert capsys.readouterr().out == ""
    assert choose_wandb("auto", "Toy").mode == "online"
    assert capsys.readouterr().out == "W&B: online, project Toy (a key is configured)\n"  # before anything is sent
    monkeypatch.setenv("WANDB_MODE", "disabled")
    assert choose_wandb("auto").mode == "disabled"
    assert KEY not in capsys.readouterr().out


def test_auto_with_a_key_and_no_host_is_off(monkeypatch, capsys, dead_host):
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    monkeypatch.setenv("WANDB_BASE_URL", dead_host)
    assert choose_wandb("auto").mode == "disabled"
    assert f"W&B: off ({dead_host} does not answer)" in capsys.readouterr().out
    assert choose_wandb("online").mode == "offline"
    assert "upload them with `wandb sync`" in capsys.readouterr().out


def test_a_host_that_never_answers_costs_two_seconds(monkeypatch, deaf_host):
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    monkeypatch.setenv("WANDB_BASE_URL", deaf_host)
    start = time.monotonic()
    assert choose_wandb("auto").mode == "disabled"
    assert time.monotonic() - start < 4.0


def test_modes_that_cannot_be_had_are_one_line(monkeypatch):
    with pytest.raises(UserError, match="did you mean 'offline'"):
        choose_wandb("ofline")
    with pytest.raises(UserError, match="--wandb online needs a key"):
        choose_wandb("online")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert choose_wandb("auto").mode == choose_wandb("disabled").mode == "disabled"
    with pytest.raises(UserError, match="--wandb offline needs the package wandb: pip install wandb"):
        choose_wandb("offline")


def test_nothing_heavy_is_imported_until_it_is_asked_for():
    program = (
        "import sys, src.sweep, src.sweep.cli, src.tracking.wandb_run, src.sweep.worker\n"
        "print([name for name in ('wandb', 'torch', 'ray', 'numba') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_offline_runs_can_be_read_back_and_hold_no_key(monkeypatch, tmp_path):
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    out = tmp_path / "out"
    out.mkdir()
    (out / "fail-1-12").touch()
    runs = toy_runs(2)
    toy_sweep(out, runs, wandb="offline", wandb_project="Toy")
    good, bad = (RunFolder(out, run) for run in runs)

    found = read_offline_run(good.path)
    assert (found["project"], found["name"], found["group"], found["exit_code"]) == ("Toy", "seed 0", "toy", 0)
    assert {key: value for key, value in found["config"].items() if key != "_wandb"} == runs[0].config
    assert len(good.metrics()) == 4
    assert [{"step": row["_step"], "x": row["x"]} for row in found["rows"]] == good.metrics()
    assert read_offline_run(bad.path)["exit_code"] == 1
    first_id = read_offline_run(bad.path)["id"]
    assert first_id.startswith(runs[1].key)

    for path in bad.path.glob("wandb/offline-run-*/*.wandb"):
        path.unlink()  # uploaded, say
    assert toy_sweep(out, runs, wandb="offline", wandb_project="Toy", retry_failed=True).exit_code == 0
    resumed = read_offline_run(bad.path)
    assert (resumed["id"], resumed["exit_code"]) == (first_id, 0)
    assert [row["_step"] for row in resumed["rows"]] == [15, 20]

    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert any(path.suffix == ".wandb" for path in files)
    assert not any(KEY.encode() in path.read_bytes() for path in files)
    assert not any(socket.gethostname().encode() in path.read_bytes() for path in out.rglob("*.wandb"))


def test_a_host_that_refuses_the_key_costs_one_line_and_no_run(monkeypatch, tmp_path, capfd, server):
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    monkeypatch.setenv("WANDB_BASE_URL", server)
    outcome = toy_sweep(tmp_path / "out", toy_runs(1), wandb="online")
    assert outcome.exit_code == 0
    said = capfd.readouterr().err
    assert said.count("W&B: off for this run") == 1
    assert KEY not in said


class Broken:
    """A run of a W&B that fails at the call with the given name."""

    def __init__(self, at: str) -> None:
        self.at, self.calls = at, []

    def _call(self, name: str) -> None:
        self.calls.append(name)
        if name == self.at:
            raise RuntimeError(f"{name} fails with {KEY}\nand more")

    def init(self, **options: object) -> "Broken":
        self._call("init")
        return self

    def log(self, values: dict[str, float], step: int) -> None:
        self._call("log")

    def finish(self, exit_code: int) -> None:
        self._call("finish")


@pytest.mark.parametrize(
    ("at", "calls"),
    [("init", ["init"]), ("log", ["init", "log"]), ("finish", ["init", "log", "log", "finish"]), ("", None)],
)
def test_whatever_the_sdk_raises_is_one_line(monkeypatch, tmp_path, at, calls):
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    broken = Broken(at)
    module = types.SimpleNamespace(init=broken.init, Settings=dict)
    monkeypatch.setitem(sys.modules, "wandb", module)
    warnings: list[str] = []
    run = open_wandb(WandbChoice("offline"), tmp_path, name="a", group="b", config={}, warn=warnings.append)
    if run is not None:
        run.log(1, {"x": 1.0})
        run.log(2, {"x": 1.0})
        run.finish(0)
        run.finish(0)
    assert broken.calls == (calls or ["init", "log", "log", "finish"])
    expected = f"W&B: off for this run, RuntimeError: {at} fails with ***; the local log goes on"
    assert warnings == ([expected] if at else [])


def test_disabled_leaves_no_trace(tmp_path):
    assert open_wandb(WandbChoice("disabled"), tmp_path, name="a", group="b", config={}, warn=print) is None
    assert list(Path(tmp_path).iterdir()) == []
