"""The bench: its yardsticks compute the same kernels as ours, and what it prints and writes is what it measured."""

import pytest
import torch

from src.bench import __main__ as door
from src.bench import kernels, naive
from src.bench.timing import Table, machine, markdown, peak_bytes, seconds
from src.errors import UserError
from src.kernels import DPLRKernel
from src.ops.diagonal import log_vandermonde
from src.ops.fftconv import fftconv


def test_naive_diagonal_kernel_is_ours():
    w, z = (
        torch.randn(3, 4, dtype=torch.complex128),
        torch.complex(-torch.rand(3, 4), torch.randn(3, 4)).to(torch.complex128),
    )
    torch.testing.assert_close(naive.diagonal_kernel(w, z, 50), 2 * log_vandermonde(w, z, 50))


def test_naive_dplr_kernel_is_ours():
    """With C (1 - Abar^L) in place of C; over so long a window that Abar^L vanishes, C itself."""
    torch.manual_seed(0)
    kernel, L = DPLRKernel(3, 8, dt_min=0.1, dt_max=0.1).double(), 4096 + 1
    half = kernel.continuous()
    exact = naive.dplr_kernel(half.d[0], -half.p[0, 0], half.b[0], half.c[0], kernel.dt(), L)
    torch.testing.assert_close(kernel(L)[0], exact, rtol=1e-9, atol=1e-10)


def test_naive_convolution_is_ours():
    u, K = torch.randn(2, 3, 50), torch.randn(3, 50)
    torch.testing.assert_close(naive.fftconv(u, K), fftconv(u, K), rtol=1e-4, atol=1e-5)


def test_tables_of_a_small_size(monkeypatch):
    monkeypatch.setattr(kernels, "H", 4)
    monkeypatch.setattr(kernels, "PAIRS", 3)
    for name in kernels.SIDES:
        row = kernels.kernel_row(name, 100, 1)
        assert float(row["error of K"]) < 1e-4
        assert float(row["of gradients"]) < 1e-4
    assert kernels.block_rows(2, 30, 1)[0]["part"] == "block"


def test_seconds_times_every_side():
    calls = []
    times = seconds({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, 3)
    assert times.keys() == {"a", "b"}
    assert "".join(calls) == "ab" * 4


def test_peak_counts_live_tensors_only():
    def work():
        a = torch.ones(1000, 1000)
        b = a + 1
        del a
        c = b * 2
        return c

    assert 8e6 <= peak_bytes(work) < 8.1e6


def test_markdown_has_a_row_for_each_row():
    text = markdown(Table("T", "note", [{"x": "1", "y": "2"}, {"x": "3", "y": "4"}]))
    assert text.splitlines()[-3:] == ["| --- | --- |", "| 1 | 2 |", "| 3 | 4 |"]
    assert "torch" in machine()


def test_a_section_is_replaced_and_others_stay(tmp_path):
    path = tmp_path / "deep" / "speed.md"
    door.write_section(path, "kernels", "first")
    door.write_section(path, "theory", "other \\1")
    door.write_section(path, "kernels", "second")
    text = path.read_text()
    assert "first" not in text
    assert text.index("second") < text.index("other \\1")
    assert text.count("<!-- begin kernels -->") == 1


def test_an_unknown_bench_is_refused(monkeypatch):
    monkeypatch.setattr("sys.argv", ["bench", "kernel"])
    with pytest.raises(UserError, match="did you mean 'kernels'"):
        door.main()
