"""`src/files.py`: archives that lie about their size, and files that are none."""

import io
import os
import tracemalloc
import zipfile

import numpy as np
import pytest

from src.errors import UserError
from src.files import read_bytes, read_json, read_lines, read_npz


def npy(shape: tuple[int, ...], descr: str = "<f8", data: bytes = b"") -> bytes:
    """A `.npy` whose header says `shape`, whatever follows."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": descr, "fortran_order": False, "shape": shape})
    return header.getvalue() + data


def archive(path, members, compression=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", compression) as file:
        for name, data in members.items():
            file.writestr(name, data)
    return path


def test_arrays_of_every_order_and_type_come_back(tmp_path):
    arrays = {
        "a": np.arange(6.0).reshape(2, 3),
        "b": np.asfortranarray(np.arange(6).reshape(2, 3)),
        "c": np.array(["x", "yz"]),
    }
    arrays |= {"d": np.array(3 + 4j), "e": np.zeros((0, 4), np.float32)}
    np.savez_compressed(tmp_path / "a.npz", **arrays)
    found = read_npz(tmp_path / "a.npz", "arrays")
    assert found.keys() == arrays.keys()
    for name, array in arrays.items():
        assert found[name].dtype == array.dtype
        assert np.array_equal(found[name], array)


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"x.npy": npy((10**12,))}, "declares 8,000,000,000,000 bytes and has 0"),
        ({"x.npy": npy((10**12, 0))[:-1]}, "cut, damaged"),
        ({"x.npy": npy((3,), data=bytes(16))}, "declares 24 bytes and has 16"),
        ({"x.npy": npy((1,), "|O", b"\x80\x04N.")}, "holds Python objects"),
        ({"x.npy": b"\x93NUMPY\x01\x00\xff\xff" + b" " * 70_000}, "header too long"),
        ({"x.npy": b"no array"}, "not a NumPy array"),
        ({"x.txt": b"text"}, "found 'x.txt'"),
    ],
)
def test_arrays_that_lie(tmp_path, members, message):
    path = archive(tmp_path / "a.npz", members)
    tracemalloc.start()
    try:
        with pytest.raises(UserError, match=message) as error:
            read_npz(path, "arrays")
        assert tracemalloc.get_traced_memory()[1] < 30_000_000
    finally:
        tracemalloc.stop()
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_an_archive_larger_than_memory_is_refused(tmp_path, monkeypatch):
    path = archive(tmp_path / "a.npz", {"x.npy": npy((1 << 20,), data=bytes(8 << 20))})
    monkeypatch.setattr(os, "sysconf", lambda name: 1000)
    with pytest.raises(UserError, match="more than this machine's memory"):
        read_npz(path, "arrays")


def test_what_is_no_plain_file(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for path, word in (
        (tmp_path / "pipe", "pipe"),
        (tmp_path / "folder", "folder"),
        (tmp_path / "none", "No such file"),
    ):
        for read in (
            lambda p: read_bytes(p, 10, "x"),
            lambda p: list(read_lines(p, 10, "x")),
            lambda p: read_npz(p, "x"),
        ):
            with pytest.raises(UserError, match=word):
                read(path)


@pytest.mark.parametrize("data", [b"", b"[1]", b"{", b"\xff", b"[" * 100_000, b'{"a": NaN}x'])
def test_json_that_is_no_mapping(tmp_path, data):
    (tmp_path / "a.json").write_bytes(data)
    with pytest.raises(UserError, match=r"a\.json: .*expected settings"):
        read_json(tmp_path / "a.json", "settings")
