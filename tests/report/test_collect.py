"""Which folders hold runs, and what a record says about a run."""

import pytest

from src.errors import UserError
from src.report.collect import collect, experiments, failures, notices, progress
from src.report.index.gather import Gatherer
from src.report.summary import summary
from src.sweep import Run, RunFolder
from src.sweep.run import NUMERICS
from tests.report.runs import STEPS, write_run


def test_an_experiment_or_the_folder_above_it(tmp_path):
    write_run(tmp_path, 0.5)
    write_run(tmp_path, 0.1, complex_option=True)
    (tmp_path / "report").mkdir()
    assert list(experiments(tmp_path)) == ["theory-complex", "theory-real"]
    assert experiments(tmp_path / "theory-real") == {"theory-real": tmp_path / "theory-real"}
    assert len(collect([tmp_path], "theory")) == 2
    assert [record.experiment for record in collect([tmp_path / "theory-real"], "theory")] == ["theory-real"]


def test_a_record_knows_its_run(tmp_path):
    write_run(tmp_path, 0.25, lr=3e-4)
    (record,) = collect([tmp_path], "theory")
    assert record.done
    assert record.config["lr"] == 3e-4
    assert record.result["min_loss"] == 0.25
    assert record.arrays["target"].shape == (12,)
    steps, largest = record.curve("max_CB")
    assert steps.tolist() == STEPS
    assert largest.tolist() == pytest.approx([25, 50, 75, 100])
    assert record.curve("no such column")[0].size == 0


def test_a_torn_result_is_not_done(tmp_path):
    folder = write_run(tmp_path, 0.25)
    (folder / "result.json").write_text('{"result": {"min_l')
    (record,) = collect([tmp_path], "theory")
    assert record.state == "interrupted"
    assert record.result == {}


def test_progress_counts_every_state(tmp_path):
    write_run(tmp_path, 0.5)
    write_run(tmp_path, 0.5, seed=1, state="failed")
    write_run(tmp_path, 0.5, seed=2, state="running")  # no process holds its lock: it was killed
    records = collect([tmp_path], "theory")
    assert progress(records) == "1 of 3 runs done, 1 failed, 1 interrupted"
    assert progress(records, expected=10) == "1 of 10 runs done, 1 failed, 1 interrupted, 7 not started"
    assert progress(records, expected=3) == progress(records)
    (line,) = failures(records)
    assert "loss is NaN" in line


def test_many_failures_are_counted(tmp_path):
    for seed in range(8):
        write_run(tmp_path, 0.5, seed=seed, state="failed")
    lines = failures(collect([tmp_path], "theory"))
    assert len(lines) == 6
    assert lines[-1] == "and 3 more failed runs"


def test_folders_without_runs_are_the_users_mistake(tmp_path):
    run = write_run(tmp_path / "out", 0.5)
    empty = tmp_path / "empty"
    empty.mkdir()
    for folder, message in [(tmp_path / "none", "no such folder"), (empty, "holds no runs"), (run, "folder above it")]:
        with pytest.raises(UserError, match=message):
            experiments(folder)
    with pytest.raises(UserError, match="robustness"):
        collect([tmp_path / "out"], "robustness")


def finished(out, numerics, warnings=(), **config):
    folder = RunFolder(out, Run("theory-x", {"seed": 0, **config}, "a run", numerics))
    folder.path.mkdir(parents=True)
    with folder.locked():
        folder.start({})
        folder.finish({"loss": 0.1, "warnings": list(warnings)})
    return folder.run.key


def test_runs_of_older_numerics_are_named_and_give_way_to_newer_ones(tmp_path):
    """Of a config that was run with both, only the newer run is reported; the page of all runs shows both, and says which is old."""
    again, alone = finished(tmp_path, 1), finished(tmp_path, 1, seed=1)
    new = finished(tmp_path, NUMERICS)
    records = collect([tmp_path], "theory")
    assert {record.key for record in records} == {alone, new}
    (line,) = notices(records)
    assert line.startswith(f"1 of 2 runs are of older numerics (now {NUMERICS})")
    table = summary(records)
    assert {row[table.columns.index("numerics")] for row in table.rows} == {1, NUMERICS}
    gatherer = Gatherer(tmp_path)
    shown = {run["key"]: run for run in gatherer.runs(gatherer.stamps())}
    assert {key: run["state"] for key, run in shown.items()} == dict.fromkeys((again, alone, new), "done")
    assert shown[new]["message"] == ""
    assert shown[alone]["message"] == f"numerics 1, now {NUMERICS}"


def test_warnings_of_runs_reach_the_reader(tmp_path):
    for seed in range(7):
        finished(tmp_path, NUMERICS, ["nothing is learned"], seed=seed)
    lines = notices(collect([tmp_path], "theory"))
    assert len(lines) == 6
    assert lines[0].endswith("nothing is learned")
    assert lines[-1] == "and 2 more warnings"
