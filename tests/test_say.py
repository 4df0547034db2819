"""A stream that dies never changes how a script ends."""

import errno
import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
TALK = """
import sys
from src.errors import run_door

def main():
    for stream in (sys.stdout, sys.stderr):
        for i in range(2000):
            print("a line of some length, number", i, file=stream)
    sys.__stdout__ and sys.stdout.flush()
    print("one more", flush=True)
    return 75

run_door(main)
"""


def talk(program: str = TALK, **streams) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([sys.executable, "-c", program], cwd=ROOT, timeout=120, **streams)


def broken_pipe() -> int:
    reader, writer = os.pipe()
    os.close(reader)
    return writer


def hung_up_terminal() -> int:
    master, slave = pty.openpty()
    os.close(master)
    return slave


def full_device() -> int:
    return os.open("/dev/full", os.O_WRONLY)


@pytest.mark.parametrize("make", [broken_pipe, hung_up_terminal, full_device])
@pytest.mark.parametrize("name", ["stdout", "stderr"])
def test_a_stream_that_is_dead_from_the_start(make, name):
    stream = make()
    other = {"stdout": "stderr", "stderr": "stdout"}[name]
    done = talk(**{name: stream, other: subprocess.PIPE})
    os.close(stream)
    assert done.returncode == 75
    said = getattr(done, other).decode()
    assert said.count("a line of some length") == 2000
    assert "Traceback" not in said


def test_a_reader_that_leaves_in_the_middle():
    command = f"{sys.executable} -c '{TALK}' | head -n 3; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], cwd=ROOT, capture_output=True, timeout=120)
    assert done.returncode == 75
    assert done.stdout.decode().count("\n") == 3
    assert b"Traceback" not in done.stderr
    assert b"BrokenPipe" not in done.stderr


@pytest.mark.parametrize("closing", [">&-", "2>&-", "<&- >&- 2>&-"])
def test_streams_that_were_closed_do_not_lend_their_number_to_a_file(closing, tmp_path):
    program = (
        "from src.errors import run_door\n"
        "def main():\n"
        f"    with open({str(tmp_path / 'result')!r}, 'w') as file:\n"
        "        print('said')\n"
        "        file.write('kept')\n"
        "    return 75\n"
        "run_door(main)\n"
    )
    done = subprocess.run(["bash", "-c", f'{sys.executable} -c "$0" {closing}', program], cwd=ROOT, timeout=120)
    assert done.returncode == 75
    assert (tmp_path / "result").read_text() == "kept"


def test_a_full_disk_under_stdout_is_said_once_on_stderr():
    stream = full_device()
    done = talk(TALK.replace("(sys.stdout, sys.stderr)", "(sys.stdout,)"), stdout=stream, stderr=subprocess.PIPE)
    os.close(stream)
    assert (
        done.stderr.decode() == f"warning: stdout cannot be written ({os.strerror(errno.ENOSPC)}); its lines are lost\n"
    )


def test_words_that_the_encoding_lacks_do_not_end_a_run():
    program = "from src.errors import run_door\nrun_door(lambda: print('\\u03bb \\u2264 1') or 75)"
    done = talk(program, env={**os.environ, "PYTHONIOENCODING": "ascii"}, stdout=subprocess.PIPE)
    assert (done.returncode, done.stdout) == (75, b"\\u03bb \\u2264 1\n")


def test_a_pipe_that_does_not_block_and_is_full_is_waited_for():
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with subprocess.Popen([sys.executable, "-c", TALK], cwd=ROOT, stdout=writer, stderr=subprocess.DEVNULL) as process:
        os.close(writer)
        with open(reader, "rb") as file:
            said = file.read()
    assert process.returncode == 75
    assert said.count(b"a line of some length") == 2000


def test_a_handler_may_speak_in_the_middle_of_a_print():
    """A buffered stream refuses to be entered twice; the line of a handler goes past it."""
    program = (
        "import os, signal, threading, time\n"
        "from src.errors import run_door\n"
        "from src.stop import StopSignals\n"
        "def main():\n"
        "    with StopSignals('noticed', 'noticed again') as signals:\n"
        "        pid = os.getpid()\n"
        "        threading.Thread(target=lambda: (time.sleep(0.2), os.kill(pid, signal.SIGUSR1)), daemon=True).start()\n"
        "        while not signals.asked():\n"
        "            print('x' * 10000)\n"
        "    return 75\n"
        "run_door(main)\n"
    )
    done = talk(program, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert done.returncode == 75
    assert done.stderr == f"\n{signal.SIGUSR1.name}: noticed\n".encode()
