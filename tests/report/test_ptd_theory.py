"""The theory's pictures: the numbers of P1's facts in their tables, and files for every picture."""

import numpy as np
import pytest

from src.errors import UserError
from src.linalg.hippo import legs
from src.linalg.legs_transfer import last_spike
from src.linalg.ptd import Spec, random_perturbation, rank1, solve_cached
from src.linalg.worst_output import worst_distance
from src.report import ptd_theory, ptd_theory_data
from src.report.__main__ import main


def columns(table, **where):
    rows = [dict(zip(table.columns, row, strict=True)) for row in table.rows]
    return [row for row in rows if all(row[key] == value for key, value in where.items())]


@pytest.fixture
def small(monkeypatch):
    """One committed perturbation and a short frontier."""
    found = {16: ptd_theory_data.committed()[16]}
    monkeypatch.setattr(ptd_theory_data, "committed", lambda objective="distance": found)
    monkeypatch.setattr(ptd_theory_data, "STATE_ORDERS", (16,))
    monkeypatch.setattr(ptd_theory_data, "GAP_ORDERS", (4, 8, 16))
    monkeypatch.setattr(ptd_theory_data, "COND_ORDERS", (4,))
    monkeypatch.setattr(ptd_theory_data, "COND_SIZES", (0.1, 0.03))
    monkeypatch.setattr(ptd_theory_data, "GAIN_ORDER", 4)
    monkeypatch.setattr(ptd_theory_data, "GAIN_SIZES", (0.1, 0.01))
    return found


def test_every_committed_perturbation_is_found():
    found = ptd_theory_data.committed()
    assert {8, 16, 32} <= set(found)
    assert all(perturbation.n == n for n, perturbation in found.items())


def test_spikes_stand_out_of_S4D_alone(small):
    rows = columns(ptd_theory_data.spikes(small))
    last = max(rows, key=lambda row: row["omega"])
    assert last["omega"] == pytest.approx(last_spike(16))
    assert last["G_Diag"] == pytest.approx(2 / np.pi, rel=0.05)
    assert last["G_DPLR"] == pytest.approx(1 / np.hypot(1, last["omega"]), rel=1e-12)
    assert last["G_PTD"] < 2 * last["G_DPLR"]


def test_the_last_spike_has_the_same_height_and_width_at_every_n():
    table = ptd_theory_data.zoom()
    curves = [[row["G_Diag"] for row in columns(table, n=n)] for n in ptd_theory_data.ZOOM_ORDERS]
    for curve in curves:
        assert max(curve) == pytest.approx(2 / np.pi, rel=0.04)
        np.testing.assert_allclose(curve, curves[-1], atol=0.02)


def test_gaps_are_those_of_the_facts(small):
    rows = columns(ptd_theory_data.gaps(small))
    np.testing.assert_allclose([row["Diag, decaying"] for row in rows], [0.1109, 0.0559, 0.02795], rtol=2e-3)
    np.testing.assert_allclose([row["Diag, impulse"] for row in rows], [0.468, 0.492, 0.498], rtol=2e-3)
    assert rows[0]["PTD, decaying"] is None
    assert rows[2]["PTD, decaying"] == 0.0  # the output e_0 stays S4's


def test_conditioning_compares_equal_sizes(small):
    for row in columns(ptd_theory_data.conditioning()):
        draws = [random_perturbation(4, row["size"], seed).cond for seed in range(25)]
        assert row["cond, random"] == pytest.approx(np.median(draws))
        assert row["cond, optimised"] < row["quartile 1"]
        assert row["max Re, optimised"] < 0


def test_bounds_bound(small):
    for row in columns(ptd_theory_data.bounds(small)):
        assert row["actual, e_0"] <= row["actual, worst C"] * (1 + 1e-9)
        assert row["actual, worst C"] <= min(row["resolvent"], row["Theorem 3"])


def test_gains_are_norms_of_the_state(small):
    table = ptd_theory_data.gains()
    A, B = legs(4)
    E = {"S4": 0 * A, "S4D": rank1(4).E, "optimised": solve_cached(Spec(n=4, size=0.1)).E}
    for kind, half in (("S4", 1), ("S4D", 0.5), ("optimised", 1)):
        row = columns(table, E=kind, size=0.1 if kind == "optimised" else None)[40]
        x = np.linalg.solve(1j * row["omega"] * np.eye(4) - A - E[kind], half * B)
        assert row["gain"] == pytest.approx(np.linalg.norm(x) / np.linalg.norm(B), rel=1e-4)


def test_states_are_as_far_from_S4_as_the_worst_output(monkeypatch):
    """The largest distance on the grid is the exact supremum's, to the grid's fineness."""
    monkeypatch.setattr(ptd_theory_data, "STATE_ORDERS", (8,))
    table = ptd_theory_data.states()
    for name, objective in (("S4-PTD", "distance"), ("S4-PTD, cond", "cond")):
        worst = max(row["distance"] for row in columns(table) if row["system"] == name)
        exact = worst_distance(ptd_theory_data.committed(objective)[8].E).value
        assert 0.95 * exact < worst <= exact * (1 + 1e-5)
    assert {row["distance"] for row in columns(table) if row["system"] == "S4"} == {0.0}


def test_the_command_writes_every_picture_with_its_table(small, tmp_path, capsys):
    assert main(["theory-ptd", "--out", str(tmp_path / "new")]) == 0
    names = {path.name for path in (tmp_path / "new").iterdir()}
    assert names >= {f"ptd-{name}.{end}" for name in ptd_theory.PICTURES for end in ("png", "csv")}
    assert len(capsys.readouterr().out.splitlines()) == len(ptd_theory.PICTURES)


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be written"):
        main(["theory-ptd", "--out", str(tmp_path / "file" / "below")])
