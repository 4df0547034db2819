"""A table says the same thing as text, Markdown and CSV."""

import csv
import io
import math

import pytest

from src.report.tables import Table, format_value

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
