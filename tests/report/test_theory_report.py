"""The theory report on made-up sweeps: right entries, nothing mixed, nothing hidden, readable output."""

import csv
import shutil

import numpy as np
import pytest
from PIL import Image

from src.errors import UserError
from src.report import theory_tables
from src.report.__main__ import main
from src.report.collect import collect
from src.report.theory import Variant, joined, report
from src.report.theory_frontier import excess, excesses, frontier_for, prices, reached, runs_table
from src.report.theory_steps import durations, steps
from src.report.theory_tables import MEASURES, best, corollary_of, errors, only, targets_of_seeds, worst
from src.sweep import Run
from src.tables import Table, format_value
from src.theory.bounds import theorem2
from src.theory.frontier import Frontier
from src.theory.targets import TASKS, Target, target
from tests.report.runs import write_run


def test_variants_with_other_columns_stand_in_one_table():
    """As-published runs have no r_min to list, a variant may lack a target: what a variant has not is empty, not shifted."""
    one, other = (Variant(zero, "float32", 500_000) for zero in (True, False))
    parts = [
        (one, "real", Table(["t", "copy", "runs"], [[8, 0.5, 3]])),
        (other, None, Table(["t", "decay", "runs"], [[9, 0.1, 2]])),
    ]
    table = joined([(variant, "real", part) for variant, _, part in parts])
    assert table.columns == [*Variant._fields, "field", "t", "copy", "runs", "decay"]
    assert table.rows == [[*one, "real", 8, 0.5, 3, None], [*other, "real", 9, None, 2, 0.1]]


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    """Real: 3 targets x 2 optimizers x 2 learning rates x 2 seeds; complex: 3 targets x 2 lengths x 2 seeds."""
    out = tmp_path_factory.mktemp("runs")
    for i, task in enumerate(("delay", "random", "oscillation")):
        for seed in (0, 1):
            for opt, share in (("adam", 0.5), ("radam", 0.7)):
                for lr in (1e-4, 1e-5):
                    error = share + 0.01 * i + 0.1 * seed + (0.05 if lr == 1e-5 else 0)
                    write_run(out, error, task_name=task, seed=seed, opt=opt, lr=lr)
            for N in (12, 70):
                write_run(out, 1e-6 * (1 + i + 10 * seed) * N, complex_option=True, task_name=task, seed=seed, N=N, L=N)
    return out


@pytest.fixture(scope="module")
def printed(sweep):
    return report(sweep)


def rows_of(path):
    with path.open() as file:
        return list(csv.DictReader(file))


def test_real_entries_are_the_least_over_seeds_and_settings(sweep, printed):
    rows = [row for row in rows_of(sweep / "report" / "table.csv") if row["field"] == "real"]
    table1 = {row["optimizer"]: row for row in rows if row["error"] == MEASURES["min_loss"]}
    assert [float(table1["adam"][task]) for task in ("copy", "random", "oscillation")] == pytest.approx(
        [0.5, 0.56, 0.52]
    )
    assert [float(table1["radam"][task]) for task in ("copy", "random", "oscillation")] == pytest.approx(
        [0.7, 0.76, 0.72]
    )
    assert table1["adam"]["runs"] == "12 of 12"
    final = {row["optimizer"]: row for row in rows if row["error"] == MEASURES["loss"]}
    assert float(final["adam"]["copy"]) == pytest.approx(0.75)
    l1 = {row["optimizer"]: row for row in rows if row["error"] == MEASURES["l1_at_min"]}
    assert float(l1["adam"]["copy"]) == pytest.approx(0.5**0.5)


def test_complex_entries_are_the_largest_over_seeds(sweep, printed):
    rows = [row for row in rows_of(sweep / "report" / "table.csv") if row["field"] == "complex"]
    table2 = {row["t"]: row for row in rows if row["error"] == MEASURES["min_loss"]}
    assert list(table2) == ["12", "70"]
    assert [float(table2["70"][task]) for task in ("copy", "random", "oscillation")] == pytest.approx(
        [77e-5, 84e-5, 91e-5]
    )


def test_worst_is_the_worst_seed_of_the_best_setting(tmp_path):
    for lr, found in ((1e-4, (0.1, 0.3)), (1e-5, (0.2, 0.25)), (1e-6, (0.01, 0.9))):
        for seed, error in enumerate(found):
            write_run(tmp_path, error, complex_option=True, lr=lr, seed=seed)
    records = collect([tmp_path], "theory")
    assert worst(records).result["min_loss"] == 0.25
    assert best(records).result["min_loss"] == 0.01
    assert worst([]) is None
    assert best([]) is None


def test_default_and_as_published_runs_never_share_a_table(tmp_path):
    for error, different in (
        (0.6, {}),
        (0.3, {"zero_grad": False}),
        (0.2, {"dtype": "float64"}),
        (0.1, {"num_epochs": 2000}),
    ):
        write_run(tmp_path, error, **different)
    text = report(tmp_path)
    rows = [row for row in rows_of(tmp_path / "report" / "table.csv") if row["error"] == MEASURES["min_loss"]]
    found = {(row["zero_grad"], row["dtype"], row["num_epochs"]): float(row["copy"]) for row in rows}
    assert found == {
        ("True", "float32", "1000"): 0.6,
        ("False", "float32", "1000"): 0.3,
        ("True", "float64", "1000"): 0.2,
        ("True", "float32", "2000"): 0.1,
    }
    assert all(row["runs"] == "1 of 1" for row in rows)
    for headline in (
        "gradients zeroed each step (default), float32, 1,000 steps",
        "as published (gradients accumulate), float32",
    ):
        assert headline in text
    assert len(list((tmp_path / "report").glob("losses-*.png"))) == 4


def test_each_seed_has_its_own_random_target(sweep, printed):
    """Two seeds are two targets: their mean stands in the table, each of them in a table of its own."""
    assert "random: each seed has a target of its own; the mean over these of the best run on each." in printed
    rows = {row[1]: row for row in targets_of_seeds(collect([sweep], "theory")).rows}
    assert rows["adam"][:4] == ["random", "adam", 16, 12]
    assert rows["adam"][4:] == pytest.approx([0.51, 0.61])
    names = [row[0] for row in reached(collect([sweep], "theory")).rows if str(row[2]).startswith("real")]
    assert names == ["copy", "random, seed 0", "random, seed 1", "oscillation"]


def test_runs_stand_beside_the_frontier(sweep):
    records = collect([sweep], "theory")
    copy = {row[2]: row for row in reached(records).rows if row[0] == "copy" and row[1] == 12}
    real, complex_ = copy["real, best of 8"], copy["complex, worst"]
    frontier = Frontier(target("delay", 12))
    assert real[4:6] == [15.0, pytest.approx(0.5)]
    assert real[6] == pytest.approx(frontier.at(15.0).lower, rel=1e-5)
    assert real[7] == pytest.approx(100 * (0.5 / real[6] - 1), rel=1e-3)
    assert real[8] == pytest.approx(frontier.price(0.5), rel=2e-3)
    assert complex_[7] is None
    assert complex_[8] > 50 * real[8]
    table = excesses(records)
    assert [row[-1] for row in table.rows] == [2] * 4
    assert len(runs_table(records).rows) == 36


def test_certified_prices_stand_beside_p2s_bounds(sweep):
    rows = prices(collect([sweep], "theory")).rows
    copy = {row[2]: row for row in rows if row[0] == "copy" and row[1] == 12}
    real, complex_, stated = copy["real, best of 8"], copy["complex, worst"], copy["Corollary 1"]
    assert real[3] == pytest.approx(0.5**0.5)
    assert real[4:6] == [1.5 * 16, 15.0]
    assert complex_[6] > real[6] > 0
    for row in (real, complex_, stated):
        assert row[7] == theorem2(target("delay", 12, 0), row[3]) <= row[6]
    assert stated[6] > stated[8] > 0
    assert {row[1] for row in rows} == {12, 70}


def test_steps_count_from_where_a_run_stays_near(tmp_path):
    """The complex curve 1, 0.5 (1 + e), 1.1 e, 1.5 e falls below 1e-3 at step 750; the real one never comes near its frontier."""
    for N in (8, 12):
        write_run(tmp_path, 1e-4, complex_option=True, N=N, L=N)
        write_run(tmp_path, 0.99, L=N)
    records = collect([tmp_path], "theory")
    assert {steps(record) for record in only(records, complex_option=True)} == {750}
    assert {steps(record) for record in only(records, complex_option=False)} == {float("inf")}
    assert [row[:6] for row in durations(records).rows][-1] == ["complex", 0.0, 1e-4, "adam", 12, 12]
    assert durations(only(records, L=12)).rows == []


def test_runs_of_a_time_without_the_size_have_tables_too(tmp_path):
    folder = write_run(tmp_path, 0.5)
    (folder / "result.json").write_text((folder / "result.json").read_text().replace("w_l1_at_min", "other"))
    [record] = collect([tmp_path], "theory")
    assert excess(record) is None
    assert reached([record]).rows[0][4] is None
    assert "0.5" in report(tmp_path)


def test_every_target_appears_without_another_edit(tmp_path, monkeypatch):
    monkeypatch.setitem(TASKS, "ramp", Target("a ramp", lambda L, seed: np.arange(1.0, L + 1)))
    monkeypatch.setitem(theory_tables.TITLES, "ramp", "a ramp")
    for task in TASKS:
        write_run(tmp_path, 0.5, task_name=task)
    text = report(tmp_path)
    for title in ("copy", "random", "oscillation", "alternation", "decay", "a ramp"):
        assert text.count(title) >= 3, title
    records = collect([tmp_path], "theory")
    assert len({id(frontier_for(record)) for record in records}) == len(TASKS)


def test_corollaries_of_unit_targets():
    assert corollary_of("delay", 8, 0) is None
    name, oscillation = corollary_of("oscillation", 32, 0)
    assert name == "Corollary 3"
    assert oscillation == pytest.approx((0.5 / 4, 2**20 / 4))
    assert corollary_of("random", 32, 0)[1] != corollary_of("random", 32, 1)[1]
    for task in ("delay", "oscillation"):
        eps, bound = corollary_of(task, 32, 0)[1]
        assert theorem2(target(task, 32, 0), eps) >= bound


def test_unfinished_sweeps_say_so(tmp_path):
    write_run(tmp_path, 0.5)
    write_run(tmp_path, 0.5, seed=1, state="failed")
    write_run(tmp_path, 0.5, seed=2, task_name="random", state="interrupted")
    text = report(tmp_path / "theory-real", expected=5, title_note="A note.")
    assert "1 of 5 runs done, 1 failed, 1 interrupted, 2 not started." in text
    assert "A note." in text
    assert "loss is NaN" in text
    rows = rows_of(tmp_path / "theory-real" / "report" / "table.csv")
    assert rows[0]["runs"] == "1 of 3"
    assert rows[0]["random"] == ""
    states = {row["state"] for row in rows_of(tmp_path / "theory-real" / "report" / "summary.csv")}
    assert states == {"done", "failed", "interrupted"}


def test_a_sweep_with_nothing_finished_has_a_report_too(tmp_path):
    write_run(tmp_path, 0.5, state="failed")
    text = report(tmp_path)
    assert "0 of 1 runs done, 1 failed." in text
    assert not list((tmp_path / "report").glob("*.png"))


@pytest.mark.parametrize("lost", ["metrics.jsonl", "arrays.npz"])
def test_a_finished_run_without_its_log_or_arrays_does_no_harm(tmp_path, lost):
    folder = write_run(tmp_path, 0.5)
    (folder / lost).unlink()
    assert "0.5" in report(tmp_path)
    assert len(list((tmp_path / "report").glob("*.png"))) == (4 if lost == "arrays.npz" else 3)


def test_an_error_that_is_not_a_number_never_counts_as_good(tmp_path):
    folder = write_run(tmp_path, 0.5, complex_option=True)
    (folder / "result.json").write_text(
        (folder / "result.json").read_text().replace('"min_loss": 0.5', '"min_loss": "NaN"')
    )
    write_run(tmp_path, 0.4, complex_option=True, seed=1)
    records = collect([tmp_path], "theory")
    assert best(records).config["seed"] == 1
    assert errors(records, True).rows[0][4] == float("inf")


def test_the_text_fits_a_terminal(printed):
    assert max(map(len, printed.splitlines())) <= 100
    assert printed.isascii()


def test_every_file_is_there_and_markdown_links_to_pictures(sweep, printed):
    folder = sweep / "report"
    page = (folder / "table.md").read_text()
    names = {
        ".table.json",
        "summary.csv",
        "table.csv",
        "table.md",
        "reached.csv",
        "prices.csv",
        "excess.csv",
        "frontier.csv",
        "frontier.png",
        "steps.csv",
        "steps.png",
        "responses.png",
        "losses.png",
        "parameters.png",
    }
    assert {path.name for path in folder.iterdir()} == names
    for name in names:
        assert not name.endswith(".png") or f"]({name})" in page
    assert len(rows_of(folder / "summary.csv")) == len(collect([sweep], "theory")) == 36
    assert format_value(0.5) in page


def test_pictures_show_something_and_do_not_change_from_run_to_run(sweep, printed, tmp_path):
    folder = sweep / "report"
    for path in folder.glob("*.png"):
        pixels = np.asarray(Image.open(path).convert("RGB"))
        assert pixels.shape[1] == 1800
        for color in (
            ((0x00, 0x72, 0xB2), (0xD5, 0x5E, 0x00))
            if path.name not in ("losses.png", "steps.png")
            else ((0x00, 0x72, 0xB2),)
        ):
            assert (np.abs(pixels.astype(int) - color).sum(axis=2) < 12).sum() > 200, path.name
    shutil.copytree(folder, tmp_path / "before")
    report(sweep)
    for path in (tmp_path / "before").iterdir():
        assert path.read_bytes() == (folder / path.name).read_bytes(), path.name


def test_one_field_alone(tmp_path):
    write_run(tmp_path, 0.01, complex_option=True)
    text = report([tmp_path / "theory-complex"])
    assert "Error of the complex SSM" in text
    assert "Error of the real SSM" not in text
    assert (tmp_path / "theory-complex" / "report" / "parameters.png").exists()


def test_several_folders_are_reported_in_the_one_above_them(tmp_path):
    write_run(tmp_path / "runs", 0.5, state="failed")
    write_run(tmp_path / "runs", 0.5, state="failed", complex_option=True)
    report([tmp_path / "runs" / "theory-real", tmp_path / "runs" / "theory-complex"])
    assert (tmp_path / "runs" / "report" / "table.md").exists()


def test_only_filters_by_config(sweep):
    records = collect([sweep], "theory")
    assert len(only(records, opt="radam", task_name="random")) == 4


def test_main_prints_the_report(tmp_path, capsys):
    write_run(tmp_path, 0.5, state="failed")
    assert main([str(tmp_path)]) == 0
    assert "0 of 1 runs done, 1 failed." in capsys.readouterr().out


def test_main_refuses_what_it_cannot_report(tmp_path):
    with pytest.raises(UserError, match="no such folder"):
        main([str(tmp_path / "none")])
    run = write_run(tmp_path / "one", 0.5)
    foreign = tmp_path / "two" / "gardening"
    foreign.mkdir(parents=True)
    shutil.copytree(run, foreign / run.name)
    with pytest.raises(UserError, match="gardening"):
        main([str(tmp_path / "two")])


def test_a_config_of_another_kind_is_named(tmp_path):
    folder = tmp_path / "theory-real" / Run("theory-real", {"N": 3}).key
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text("N: 3\n")
    (folder / "status.json").write_text('{"state": "failed"}')
    with pytest.raises(UserError, match="complex_option"):
        report(tmp_path)


def test_a_report_that_cannot_be_written(tmp_path):
    write_run(tmp_path, 0.5)
    (tmp_path / "report").write_text("in the way")
    with pytest.raises(UserError, match="cannot be written"):
        report(tmp_path)
