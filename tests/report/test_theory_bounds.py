"""P2's statements in numbers: what each table must show, and files for every picture."""

import numpy as np
import pytest

from src.errors import UserError
from src.report import theory_bounds
from src.report import theory_bounds_data as data
from src.report.__main__ import main
from src.theory.targets import TASKS


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(data, "LENGTHS", (4, 8, 16))
    monkeypatch.setattr(data, "LONGER", (8, 64))
    monkeypatch.setattr(data, "DESCENT", {"n": 16, "t": 16, "steps": 200, "rows": 4})
    monkeypatch.setattr(data, "DRAWS", 40)
    monkeypatch.setattr(data, "THEOREM1_T", (90, 2700))


def rows_of(table, **where):
    rows = [dict(zip(table.columns, row, strict=True)) for row in table.rows]
    return [row for row in rows if all(row[key] == value for key, value in where.items())]


def test_exact_real_answers_cost_at_least_the_price_and_complex_ones_nearly_nothing():
    for row in rows_of(data.sizes()):
        assert row["least ||w||_1"] <= row["real ||w||_1"] * (1 + 1e-9)
        assert row["complex ||w||_1"] <= 2.0
    [copy] = rows_of(data.sizes(), target="copy", t=16)
    assert copy["real ||w||_1"] > 28_800


def test_the_explicit_solution_keeps_its_bounds():
    for row in rows_of(data.explicit()):
        assert row["L1 error"] < 1e-11
        assert row["||B||_2"] <= row["its bound"] * (1 + 1e-12)
        assert row["||C||_2"] <= 1 + 1e-12


def test_descent_grows_less_than_its_bound():
    rows = rows_of(data.descent())
    assert {row["target"] for row in rows} == {task.title for task in TASKS.values()}
    assert all(row["growth"] <= row["bound"] for row in rows)
    assert all(row["c2"] >= 1.0 for row in rows)
    assert rows_of(data.descent(), target="copy")[-1]["c2"] == 1.0, "there the loss never grows"


def test_quantised_errors_are_above_what_proposition5_allows():
    rows = rows_of(data.quantisation())
    assert all(row["real"] >= row["least, real"] for row in rows)
    copy = {row["bits"]: row for row in rows_of(data.quantisation(), target="copy")}
    assert copy[12]["real"] > 1000 * copy[12]["complex"]
    assert copy[24]["complex"] < 1e-5


def test_fewer_states_than_printed_are_enough_at_2700():
    short, long = rows_of(data.states())
    assert short["enough"] >= short["as printed"]
    assert long["enough"] < long["as printed"]
    for row in (short, long):
        assert row["corrected"] <= row["Lemma 4"] <= row["enough"]


def test_every_picture_has_its_table(tmp_path, capsys):
    assert main(["theory-bounds", "--out", str(tmp_path)]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == len(theory_bounds.PICTURES) == 5
    for name in theory_bounds.PICTURES:
        assert (tmp_path / f"bounds-{name}.png").stat().st_size > 10_000
        assert len((tmp_path / f"bounds-{name}.csv").read_text().splitlines()) >= 3
    assert np.all([line.startswith(str(tmp_path)) for line in printed])


def test_a_place_that_cannot_be_written_to(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UserError, match="cannot be written"):
        main(["theory-bounds", "--out", str(tmp_path / "file"), "--only", "states"])
