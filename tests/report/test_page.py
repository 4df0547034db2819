"""What a report prints, writes, keeps and removes; the command line."""

import json
import os

import pytest

from src.errors import UserError
from src.report import style
from src.report.__main__ import main
from src.report.options import DEFAULT, Options, format_list
from src.report.page import open_page
from src.tables import Table
from tests.report.runs import write_run


@pytest.fixture
def drawn(monkeypatch):
    """Names of the pictures that were really drawn, instead of drawing them."""
    names = []

    def save(figure, path, formats):
        for ending in formats:
            path.with_suffix(f".{ending}").write_text("a picture")
        names.append(path.name)

    monkeypatch.setattr(style, "save", save)
    return names


def report(folder, options=DEFAULT, pictures=("a", "b")):
    with open_page(folder, "theory", "Title", "Headline", options) as page:
        page.section("all runs", page.records)
        page.table(lambda runs: Table(["seed"], [[run.config["seed"]] for run in runs]), page.records)
        page.csv("x.csv", Table(["a"], [[1]]))
        page.pictures("group", lambda: [(name, None, f"caption of {name}") for name in pictures])
        return page.finish()


def test_pictures_are_drawn_anew_only_where_something_changed(tmp_path, drawn):
    run = write_run(tmp_path, 0.5)
    report(tmp_path)
    assert drawn == ["a", "b"]
    page = (tmp_path / "report" / "theory.md").read_text()
    report(tmp_path)
    assert drawn == ["a", "b"]
    assert (tmp_path / "report" / "theory.md").read_text() == page
    report(tmp_path, Options(formats=("png", "pdf")))
    assert len(drawn) == 4
    os.utime(run / "metrics.jsonl", (1, 1))
    report(tmp_path, Options(formats=("png", "pdf")))
    assert len(drawn) == 6
    (tmp_path / "report" / "b.pdf").unlink()
    report(tmp_path, Options(formats=("png", "pdf")))
    assert len(drawn) == 8


def test_files_of_an_earlier_report_that_no_longer_apply_go(tmp_path, drawn):
    run = write_run(tmp_path, 0.5)
    report(tmp_path, Options(formats=("png", "svg")))
    mine = tmp_path / "report" / "notes.txt"
    mine.write_text("a file of the user's")
    os.utime(run / "metrics.jsonl", (1, 1))
    report(tmp_path, pictures=("a",))
    names = {path.name for path in (tmp_path / "report").iterdir()}
    assert names == {"a.png", "theory.md", "x.csv", ".theory.json", "notes.txt"}


def test_a_torn_memory_is_no_memory(tmp_path, drawn):
    write_run(tmp_path, 0.5)
    report(tmp_path)
    (tmp_path / "report" / ".theory.json").write_text('{"state": ')
    report(tmp_path)
    assert len(drawn) == 4
    assert json.loads((tmp_path / "report" / ".theory.json").read_text())["files"]


def test_the_text_is_about_the_runs_asked_for_and_the_page_about_all(tmp_path, drawn):
    folders = [write_run(tmp_path, 0.5, seed=seed) for seed in (7, 8)]
    text = report(tmp_path, Options(asked=frozenset({folders[0].name, "not begun"})))
    assert "1 of 2 runs done, 1 not started" in text
    assert [line.strip() for line in text.splitlines() if line.strip() in ("7", "8")] == ["7"]
    page = (tmp_path / "report" / "theory.md").read_text()
    assert "2 of 2 runs done" in page
    assert {"| 7 |", "| 8 |"} <= set(page.splitlines())


def test_formats_are_checked_with_a_suggestion():
    assert format_list("pdf,png,pdf") == ("pdf", "png")
    with pytest.raises(Exception, match="did you mean 'svg'"):
        format_list("svq")


def test_the_command_line_draws_the_formats_asked_for(tmp_path, capsys):
    write_run(tmp_path, 0.5, complex_option=True)
    assert main([str(tmp_path), "--format", "svg,pdf", "--full"]) == 0
    endings = {path.suffix for path in (tmp_path / "report").iterdir()}
    assert {".svg", ".pdf"} <= endings
    assert ".png" not in endings
    assert "![responses](responses.svg)" in (tmp_path / "report" / "table.md").read_text()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["theory-pdt"], "did you mean 'theory-ptd'"),
        (["RUNS/theory-rael"], "did you mean '.*theory-real'"),
        (["RUNS", "RUNS/nothing/there"], "no such folder"),
    ],
)
def test_a_wrong_folder_or_command_is_one_line_with_a_suggestion(tmp_path, words, message):
    write_run(tmp_path, 0.5)
    with pytest.raises(UserError, match=message):
        main([word.replace("RUNS", str(tmp_path)) for word in words])


def test_an_unknown_option_ends_with_a_suggestion(tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        main([str(tmp_path), "--fromat", "pdf"])
    assert ended.value.code == 2
    assert "did you mean '--format'" in capsys.readouterr().err


def test_a_folder_that_cannot_be_written_is_said_before_anything_is_computed(tmp_path, monkeypatch):
    write_run(tmp_path, 0.5)
    (tmp_path / "report").write_text("a file")
    monkeypatch.setattr("src.report.theory.report", lambda *_: pytest.fail("computed"))
    with pytest.raises(UserError, match="cannot write there"):
        main([str(tmp_path)])


def test_a_table_that_takes_long_is_made_anew_only_where_something_changed(tmp_path):
    run, made = write_run(tmp_path, 0.5), []

    def report():
        with open_page(tmp_path, "theory", "Title", "Headline", DEFAULT) as page:
            make = lambda runs: (
                made.append(1) or Table(["a", "b"], [[1.5, None], [float("inf"), "x"]], notes=["A note."])
            )
            page.table(make, page.records, kept="slow")
            return page.finish()

    first = report()
    assert report() == first
    assert len(made) == 1
    os.utime(run / "metrics.jsonl", (1, 1))
    assert report() == first
    assert len(made) == 2
