"""Peers are compared before they are timed; without any, one line says how to get them."""

import sys
import types

import pytest
import torch

from src.bench import peers
from src.errors import UserError


def test_without_peers_one_line_says_how_to_get_them(monkeypatch):
    monkeypatch.setattr(peers, "installed", list)
    with pytest.raises(UserError, match=r"requirements-peers\.txt"):
        next(peers.tables())


def test_a_row_compares_outputs_and_times_both(monkeypatch):
    monkeypatch.setattr(peers.importlib.metadata, "version", lambda package: "1.2")
    layer = torch.nn.Linear(peers.H, peers.H)
    other = torch.nn.Linear(peers.H, peers.H)
    other.load_state_dict({name: 1.5 * value for name, value in layer.state_dict().items()})
    row = peers.row(peers.Peer("map", "torch", "torch", lambda: (layer, other)), 16, 1)
    assert row["peer"] == "torch 1.2"
    assert row["outputs differ by"] == "5e-01"
    assert float(row["ours, ms"]) > 0


def test_only_installed_peers_take_part(monkeypatch):
    monkeypatch.setattr(
        peers.importlib.util, "find_spec", lambda name: types.ModuleType("s5") if name == "s5" else None
    )
    assert [peer.package for peer in peers.installed()] == ["s5-pytorch"]


@pytest.mark.parametrize("peer", peers.PEERS, ids=lambda peer: peer.package)
def test_an_installed_peer_gives_our_outputs(peer):
    pytest.importorskip(peer.module, reason="an optional peer: pip install -r requirements-peers.txt")
    torch.manual_seed(0)
    theirs, ours = peer.make()
    x = torch.randn(2, 37, peers.H)
    with torch.no_grad():
        torch.testing.assert_close(ours(x), theirs(x), rtol=1e-4, atol=1e-4)
    assert sys.modules[peer.module]
