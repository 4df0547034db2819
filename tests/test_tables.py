"""A table says the same thing as text, Markdown and CSV."""

import csv
import io
import math
from typing import NamedTuple

import pytest

from src.tables import LINES, WIDTH, Table, format_value

TABLE = Table(
    ["name", "kind", "n", "error"],
    [["copy", "a|b", 1024, 0.12345], ["copy", "c", 7, None], ["random", "c", 7, 1.5e-9]],
    title="A title",
    notes=["A note."],
    grouped=1,
)


def test_text_is_aligned_and_leaves_repeated_names_out():
    assert TABLE.text().splitlines() == [
        "A title",
        "name    kind      n     error",
        "------  ----  -----  --------",
        "copy    a|b   1,024     0.123",
        "        c         7         -",
        "random  c         7  1.50e-09",
        "A note.",
    ]


def test_markdown_has_a_cell_for_every_value():
    lines = TABLE.markdown().splitlines()
    assert lines[0] == "**A title**"
    assert lines[2:6] == [
        "| name | kind | n | error |",
        "| --- | --- | ---: | ---: |",
        "| copy | a\\|b | 1,024 | 0.123 |",
        "|  | c | 7 | - |",
    ]
    assert lines[-1] == "A note."


def test_csv_keeps_all_digits_and_repeated_names():
    rows = list(csv.reader(io.StringIO(TABLE.csv())))
    assert rows[0] == ["name", "kind", "n", "error"]
    assert rows[1:] == [["copy", "a|b", "1024", "0.12345"], ["copy", "c", "7", ""], ["random", "c", "7", "1.5e-09"]]


def test_two_grouped_columns_leave_out_only_what_repeats_together():
    table = Table(["a", "b", "c"], [["x", 1, 1], ["x", 1, 2], ["x", 2, 3], ["y", 2, 4]], grouped=2)
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.markdown().splitlines()[2:]]
    assert cells == [["x", "1", "1"], ["", "", "2"], ["", "2", "3"], ["y", "2", "4"]]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"),
        (True, "True"),
        (162, "162"),
        (500_000, "500,000"),
        (0.0, "0"),
        (0.98765, "0.988"),
        (1234.4, "1,234"),
        (30654.8, "3.07e+04"),
        (9.99e-4, "9.99e-04"),
        (math.inf, "inf"),
        ("adam", "adam"),
    ],
)
def test_values(value, text):
    assert format_value(value) == text


def test_a_table_without_rows_has_its_head():
    assert Table(["a", "b"]).csv() == "a,b\n"
    assert Table(["a", "b"]).text().splitlines()[0] == "a  b"


class Mean(NamedTuple):
    value: float
    low: float
    high: float


def test_intervals_in_every_form():
    table = Table(
        ["m", "x"], [["a", Mean(81.234, 80.1, 82.368)], ["b", Mean(79.0, math.nan, math.nan)]], best={"x": "max"}
    )
    assert table.text().splitlines()[2:] == ["a  81.2 ± 1.1*", "b       79.00"]
    assert "| a | **81.2 ± 1.1** |" in table.markdown()
    assert table.csv().splitlines() == ["m,x,x low,x high", "a,81.234,80.1,82.368", "b,79.0,,"]
    assert format_value(Mean(2560.0, 2560.0, 2560.0)) == "2,560 ± 0"
    assert format_value(Mean(12.0, 9.0, 31.0)) == "12 [9, 31]"
    assert format_value(Mean(math.inf, 4000.0, math.inf)) == "inf [4,000, inf]"


@pytest.mark.parametrize(("sense", "winner"), [("max", "b"), ("min", "a")])
def test_the_best_is_marked_where_there_are_several(sense, winner):
    table = Table(["m", "x"], [["a", 1.0], ["b", 2.0], ["c", None]], best={"x": sense})
    (line,) = [line for line in table.text().splitlines() if line.endswith("*")]
    assert line[0] == winner
    assert "*" not in Table(["m", "x"], [["a", 1.0]], best={"x": sense}).text()


def test_columns_that_are_empty_go_but_stay_in_the_csv():
    table = Table(["a", "b", "c"], [[1, None, "-"], [2, "", "-"]])
    assert table.text().split("\n")[0] == "a"
    assert table.csv().splitlines()[0] == "a,b,c"


def test_a_wide_and_long_table_fits_a_terminal_and_says_what_it_left_out():
    words = [f"model.layer.d_state={i} optimizer.lr=0.001 scheduler.num_training_steps=3000 end{i}" for i in range(60)]
    table = Table(
        ["setting", *(f"column {i}" for i in range(12))], [[word, *range(12)] for word in words], notes=["n " * 90]
    )
    lines = table.text().splitlines()
    assert max(map(len, lines)) <= WIDTH
    assert len(lines) <= LINES
    assert any("more rows (--full" in line for line in lines)
    assert any("not shown (--full does): column" in line for line in lines)
    assert "end0" in lines[2]  # a cut text keeps both ends
    full = table.text(full=True).splitlines()
    assert len(full) == 63
    assert words[-1] in full[61]
