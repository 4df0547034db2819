"""`make gpu` without a card: its parts run with the CPU in the card's place, and one that breaks or hangs is written down."""

import importlib.machinery
import sys
import types

import pytest
import torch

from src.bench import card, card_peers
from src.bench.card import Outcome, Part, call, compare, find_out, judged, page
from src.errors import UserError


def test_without_a_card_one_line_says_so(monkeypatch):
    monkeypatch.setattr(card.torch.cuda, "is_available", lambda: False)
    with pytest.raises(UserError, match="needs a CUDA device"):
        card.main([])


def broken(folder, seconds):
    raise RuntimeError("driver is gone")


def test_a_part_that_breaks_stops_no_other_and_says_how_to_report(tmp_path):
    good = Part("Good", "works", lambda folder, seconds: Outcome(True, "all well"), 1)
    found = find_out([Part("Bad", "breaks", broken, 1), good], tmp_path, say=lambda line: None)
    assert [o.passed for o in found.values()] == [False, True]
    text = page(found, "A card.")
    assert "RuntimeError: driver is gone" in text
    assert text.count("To report it") == 1
    assert "all well" in text


def test_a_command_that_hangs_or_fails_leaves_its_last_lines(tmp_path):
    hangs = call(["-c", "import time; print('so far', flush=True); time.sleep(60)"], tmp_path / "a", 4)
    fails = call(["-c", "print('why'); raise SystemExit(3)"], tmp_path / "b", 30)
    assert not hangs.passed
    assert "stopped after 4 s" in hangs.text
    assert not fails.passed
    assert "exit code 3" in fails.text
    assert "why" in fails.text


def test_the_theory_part_compares_two_devices(tmp_path, monkeypatch):
    short = [
        "200" if word == "20000" else "1" if word == "2" else "N=8" if word == "N=32" else word for word in card.THEORY
    ]
    monkeypatch.setattr(card, "THEORY", [*short, "L=8", "task_name=copy"])
    got = card.theory("cpu")(tmp_path, 200)
    assert got.passed, got.text
    assert "0.0e+00" in got.text


def test_the_graph_part_compares_two_runs(tmp_path, monkeypatch):
    few = ["trainer.limit_train_batches=2", "trainer.limit_val_batches=1", "trainer.limit_test_batches=1"]
    monkeypatch.setattr(card, "TRAIN", [*card.TRAIN, *few, "trainer.max_epochs=1"])
    got = card.graph("cpu")(tmp_path, 200)
    assert got.passed, got.text


def test_numbers_that_differ_fail_the_part(tmp_path):
    for name, loss in (("a", 1.0), ("b", 1.2)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "result.json").write_text(f'{{"label": "x", "result": {{"loss": {loss}}}}}')
    got = judged(compare(tmp_path / "a", tmp_path / "b", "loss", "theory"))
    assert not got.passed
    assert "NO" in got.text
    assert not judged([]).passed


def test_the_whole_page_with_stand_ins(tmp_path, monkeypatch):
    monkeypatch.setattr(card.torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(card, "machine", lambda: "A card that is not there.")
    monkeypatch.setattr(
        card, "parts", lambda: [Part("Good", "works", lambda folder, seconds: Outcome(True, "well"), 1)]
    )
    out = tmp_path / "docs" / "gpu.md"
    assert card.main(["--out", str(out), "--logs", str(tmp_path / "logs")]) == 0
    assert "A card that is not there." in out.read_text()


def test_the_limits_add_up_to_a_quarter_of_an_hour():
    assert sum(part.seconds for part in card.parts()) <= 15 * 60


def test_mamba_ssm_is_compared_where_it_is_installed(tmp_path, monkeypatch):
    from src.ops.selective_scan import selective_scan

    def selective_scan_fn(u, delta, A, B, C, D=None, z=None, delta_bias=None, delta_softplus=False):
        first = lambda tensor: tensor.mT
        return selective_scan(first(u), first(delta), A, first(B), first(C), D, first(z), delta_bias, delta_softplus).mT

    module = types.ModuleType("mamba_ssm.ops.selective_scan_interface")
    module.selective_scan_fn = selective_scan_fn
    for name in ("mamba_ssm", "mamba_ssm.ops"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr(card_peers, "event_seconds", lambda run, repeats: (run(), 0.001)[1])
    row = card_peers.scan_row(2, 9, 4, 3, "cpu")
    assert float(row["outputs differ by"]) < 1e-5


def test_the_extension_of_state_spaces_is_compared_where_it_is_installed(tmp_path, monkeypatch):
    def forward(v, x, L):
        return 2 * (v[..., None] * torch.exp(x[..., None] * torch.arange(L))).sum(1).real

    extension = types.ModuleType("structured_kernels")
    extension.vand_log_mult_sym_fwd = forward
    extension.vand_log_mult_sym_bwd = lambda v, x, dout: (v, x)
    extension.__spec__ = importlib.machinery.ModuleSpec("structured_kernels", None)
    monkeypatch.setitem(sys.modules, "structured_kernels", extension)
    monkeypatch.setattr(card_peers, "event_seconds", lambda run, repeats: (run(), 0.001)[1])
    assert float(card_peers.kernel_row(3, 4, 9, "cpu")["outputs differ by"]) < 1e-5
    monkeypatch.setattr(card_peers, "kernel_row", lambda *size: {"H, N, L": str(size)})
    card_peers.main(tmp_path / "peers.md")
    text = (tmp_path / "peers.md").read_text()
    assert "state-spaces' extension" in text
    assert "mamba" not in text
