"""The progress line: live on a terminal, a few plain lines elsewhere."""

import io

import pytest

from src.sweep.control import Control, Progress
from src.sweep.progress import SweepProgress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def clock(monkeypatch):
    now = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    return now


def test_plain_lines_come_at_each_tenth(clock):
    stream = io.StringIO()
    line = SweepProgress(4, 1000, stream)
    for _ in range(1000):  # eight steps a second
        clock[0] += 0.125
        line.advance(1)
        line.tick()
    line.count(done=1)
    line.close()
    said = stream.getvalue().splitlines()
    assert said[0] == "sweep: 4 runs to do, 1,000 steps"
    assert said[1] == "sweep: 0/4 runs done, 10%, 8 steps/s, 01:52 left"
    assert len(said) == 12
    assert said[-1] == "sweep: 1/4 runs done, 02:05 in all"


def test_a_slow_sweep_says_something_each_half_minute(clock):
    stream = io.StringIO()
    line = SweepProgress(1, 10**6, stream)
    for second in range(600):
        clock[0] += 1.0
        line.advance(1 if second < 300 else 0)
        line.tick()
    assert len(stream.getvalue().splitlines()) == 1 + 600 // 30


def test_more_steps_than_were_estimated_are_never_more_than_all(clock):
    stream = io.StringIO()
    line = SweepProgress(1, 100, stream)
    clock[0] += 1.0
    line.advance(1625)
    line.tick()
    assert "100%, 1,625 steps/s, 00:00 left" in stream.getvalue()


def test_steps_found_in_checkpoints_do_not_count_for_the_speed(clock):
    stream = io.StringIO()
    line = SweepProgress(1, 100, stream)
    clock[0] += 1.0
    line.advance(10, resumed=50)
    line.tick()
    assert "60%, 10 steps/s, 00:04 left" in stream.getvalue()
    line.forget(30)
    line.advance(10)
    clock[0] += 1.0
    line.tick()
    assert "100%" in stream.getvalue()


def test_the_live_line_has_runs_speed_and_time_left():
    stream = Terminal()
    line = SweepProgress(3, 100, stream)
    line.count(done=1, failed=1)
    line.advance(20, resumed=30)
    line.forget(10)
    line.tick()
    line.write("failed: seed 3: ValueError")
    line.count(done=1)
    line.close()
    said = stream.getvalue()
    assert "\r" in said
    assert "1/3 runs done, 1 failed" in said
    assert "2/3 runs done, 1 failed" in said
    assert "failed: seed 3: ValueError\n" in said
    assert " steps/s, " in said
    assert " left" in said
    assert "sweep:" not in said


def test_control_sums_up_and_says_it_at_most_five_times_a_second(clock):
    sent = []
    control = Control("cpu", sent.append, lambda: False)
    for _ in range(100):
        clock[0] += 0.01
        control.advance(2)
    control.resumed(7)
    control.advance(1)
    control.flush()
    control.flush()
    assert sum(progress.steps for progress in sent) == 201
    assert sum(progress.resumed for progress in sent) == 7
    assert len(sent) <= 8
    assert sent[-1] == Progress(1, 0)
