"""The local log: what was logged is read back, a torn line is cut off, and going back to a step leaves nothing of what followed."""

import json
import math

import numpy as np
import pytest
import torch

from src.errors import UserError
from src.tracking import JsonlLog, read_jsonl
from src.tracking.files import atomic_write


def test_rows_come_back_also_when_they_are_not_finite(tmp_path):
    log = JsonlLog(tmp_path / "metrics.jsonl")
    log.log(1, loss=math.nan, best=-math.inf, worst=[math.inf, {"x": 1.5}], name="a", none=None, flag=True)
    log.log(2, loss=np.float32(0.5), vector=np.array([1.0, np.nan]), scalar=torch.tensor(3))
    first, second = read_jsonl(log.path)
    assert math.isnan(first.pop("loss"))
    assert first == {
        "step": 1,
        "best": -math.inf,
        "worst": [math.inf, {"x": 1.5}],
        "name": "a",
        "none": None,
        "flag": True,
    }
    assert (second["loss"], second["scalar"], second["vector"][0]) == (0.5, 3, 1.0)
    assert math.isnan(second["vector"][1])

    def refuse(word):
        raise AssertionError(f"{word} is not JSON")

    for line in log.path.read_text().splitlines():
        json.loads(line, parse_constant=refuse)


def test_floats_survive_bit_for_bit(tmp_path):
    values = [0.1, 1 / 3, 5e-324, 1.7976931348623157e308, 2.0**-52 + 1]
    JsonlLog(tmp_path / "a").log(0, values=values)
    assert read_jsonl(tmp_path / "a")[0]["values"] == values


@pytest.mark.parametrize("torn", [b"{", b'{"step": 3, "x": 1}', b'{"step": 3, "x"', b"\x00\x00"])
def test_a_torn_last_line_is_cut_off(tmp_path, torn):
    path = tmp_path / "metrics.jsonl"
    log = JsonlLog(path)
    log.log(1, x=1.0)
    log.log(2, x=2.0)
    log.close()
    whole = path.read_bytes()
    path.write_bytes(whole + torn)
    assert [row["step"] for row in read_jsonl(path)] == [1, 2]  # a reader does not wait for the repair
    log = JsonlLog(path)
    assert path.read_bytes() == whole
    log.log(3, x=3.0)
    assert [row["step"] for row in read_jsonl(path)] == [1, 2, 3]


@pytest.mark.parametrize(("step", "kept"), [(-1, []), (0, [0]), (14, [0, 10, 12]), (99, [0, 10, 12, 20])])
def test_rewind_drops_what_came_after_the_step(tmp_path, step, kept):
    log = JsonlLog(tmp_path / "metrics.jsonl")
    for row in (0, 10, 12, 20):
        log.log(row, x=row / 7)
    log.rewind(step)
    assert [row["step"] for row in read_jsonl(log.path)] == kept
    log.log(21, x=0.0)
    assert [row["step"] for row in read_jsonl(log.path)] == [*kept, 21]
    assert [path.name for path in tmp_path.iterdir()] == ["metrics.jsonl"]


def test_the_mirror_gets_each_row_after_it_is_on_the_disk(tmp_path):
    seen = []
    path = tmp_path / "metrics.jsonl"
    log = JsonlLog(path, mirror=lambda step, values: seen.append((step, values, len(read_jsonl(path)))))
    log.log(5, x=1.0)
    log.log(6, x=2.0)
    assert seen == [(5, {"x": 1.0}, 1), (6, {"x": 2.0}, 2)]


def test_a_full_disk_leaves_no_half_row(tmp_path):
    class FullAfterTenBytes:
        def __init__(self, file):
            self.file = file

        def __getattr__(self, name):
            return getattr(self.file, name)

        def write(self, data):
            if len(data) < 15:
                raise OSError(28, "No space left on device")
            return self.file.write(data[:10])

    log = JsonlLog(tmp_path / "metrics.jsonl")
    log.log(1, x=1.0)
    log._file, real = FullAfterTenBytes(log._file), log._file
    with pytest.raises(OSError, match=r"No space left on device: .*metrics\.jsonl"):
        log.log(2, x=2.0)
    log._file = real
    log.log(3, x=3.0)
    assert [row["step"] for row in read_jsonl(log.path)] == [1, 3]


def test_damage_inside_a_log_is_named_with_its_line(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1}\nnonsense\n{"step": 3}\n')
    with pytest.raises(UserError, match=r"metrics\.jsonl line 2: not JSON"):
        read_jsonl(path)
    with pytest.raises(UserError, match="no such file"):
        read_jsonl(tmp_path / "nowhere")


def test_an_atomic_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "result.json"
    atomic_write(path, b"old")

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match=r"No space left on device: .*result\.json"):
        atomic_write(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
