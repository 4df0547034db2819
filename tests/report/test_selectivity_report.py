"""The report of the selectivity experiments from made-up runs, and runs packed into two small files and out again."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from src.config import load_yaml
from src.errors import UserError
from src.experiments.selectivity import CONFIGS
from src.experiments.selectivity_config import from_flat
from src.report import selectivity
from src.report.__main__ import main
from src.report.collect import collect
from src.report.selectivity_figures import chance, curves, survival
from src.report.selectivity_learning import delays_of, time_to_learn
from src.report.selectivity_tables import interaction_of, milestones
from src.sweep import Run, RunFolder

ALL = (True, True, True)


def write(out, field, seed, accuracy, on=ALL, reaches=None, done=True, steps=5000, **changes):
    """A run whose held-out accuracy goes from chance to `accuracy` at the step `reaches`, evaluated every 1,000 steps."""
    base = load_yaml(CONFIGS / "delay.yaml")
    flat = {f"{s}.{k}": v for s, keys in base.items() if s in ("dataset", "train", "model") for k, v in keys.items()}
    flat |= {"model.ssm_type": f"S6-{field}", "seed": seed, "train.max_steps": steps} | changes
    flat |= dict(zip([f"model.{x}_is_selective" for x in ("B", "C", "dt")], on, strict=True))
    folder = RunFolder(out, Run("selectivity-delay", from_flat(flat, "here").plain(), f"S6-{field} {seed}"))
    folder.path.mkdir(parents=True)
    with folder.locked():
        folder.start({})
        for step in range(1000, steps + 1, 1000):
            value = accuracy if reaches is not None and step >= reaches else 1 / 16
            folder.log.log(step, epoch=step // 1000, **{"val/accuracy": value, "train/loss": 1.0})
        if done:
            names = ("accuracy", "sequence_accuracy", "first_token_accuracy", "last_token_accuracy")
            tests = {f"test/{name}": accuracy for name in names} | {"test_at_best_val/accuracy": accuracy}
            folder.finish(
                tests | {"steps": steps, "trainable_parameters": 66496, "chance": 1 / 16, "extrapolation": {}}
            )
        else:
            folder.interrupt()
    return folder


def read(path):
    with path.open() as stream:
        return list(csv.DictReader(stream))


def test_fields_are_compared_on_shared_seeds(tmp_path):
    for seed in range(3):
        write(tmp_path, "Real", seed, 0.5 + 0.1 * seed, reaches=2000)
        write(tmp_path, "Complex", seed, 0.7 + 0.1 * seed, reaches=1000)
    text = selectivity.report(tmp_path)
    assert "6 of 6 runs done" in text
    (row,) = read(tmp_path / "report" / "selectivity-means.csv")
    assert float(row["complex - real"]) == pytest.approx(20)  # every seed shares its tokens, so their spread drops out
    assert float(row["complex - real low"]) == pytest.approx(20)
    assert row["S6-Real, lowest to highest"] == "50.00 to 70.00"
    assert (tmp_path / "report" / "curves-delay.png").exists()


def test_milestones_say_when_and_what_was_not_reached(tmp_path):
    write(tmp_path, "Real", 0, 0.85, reaches=3000)
    write(tmp_path, "Real", 1, 0.85, done=False, steps=2000)
    table = milestones(collect([tmp_path], "selectivity"))
    assert table.rows == [
        ["S6-Real", "B, C, dt", 0, "3,000", "3,000", "> 5,000"],
        ["S6-Real", "B, C, dt", 1, "> 2,000", "> 2,000", "> 2,000"],
    ]


def test_the_interaction_is_one_effect(tmp_path):
    rng = np.random.default_rng(0)
    for seed in range(3):
        for bits in np.ndindex(2, 2, 2):
            on = tuple(map(bool, bits))
            gain = 0.0 if on[0] and on[1] else 0.3
            write(tmp_path, "Real", seed, 0.5 + 0.01 * rng.random(), on=on, reaches=1000)
            write(tmp_path, "Complex", seed, 0.5 + gain + 0.01 * rng.random(), on=on, reaches=1000)
    records = collect([tmp_path], "selectivity")
    found = interaction_of(records, "B and C selective")
    assert found.difference.value == pytest.approx(-30, abs=1)
    assert found.difference.high < -25
    assert found.p <= 2 / 28**3
    assert interaction_of(records, "dt selective").p > 0.3
    text = selectivity.report(tmp_path)
    assert "Interaction of field and selectivity" in text
    assert all(len(line) <= 100 for line in text.splitlines() if not line.startswith("Tables and figures"))


def test_time_to_learn_over_delays_counts_who_is_still_waiting(tmp_path):
    for seed in range(5):
        write(tmp_path, "Complex", seed, 0.95, reaches=1000, **{"dataset.lag": 8, "dataset.extra": 8})
        write(tmp_path, "Complex", seed, 0.95, reaches=4000, **{"dataset.lag": 16, "dataset.extra": 16})
        write(tmp_path, "Real", seed, 0.6, reaches=1000, **{"dataset.lag": 8, "dataset.extra": 8})
    (runs,) = delays_of(collect([tmp_path], "selectivity"))
    rows = {(row[0], row[1]): row[2:] for row in time_to_learn(runs).rows}
    assert rows["S6-Complex", 8][2].value == 1000
    assert rows["S6-Complex", 16][3] == "4.0 x from 8"
    assert rows["S6-Real", 8][1:3] == [0, (float("inf"),) * 3 + (5,)]
    figure = survival(runs)
    assert len(figure.axes) == 2
    assert "time to learn copy" in selectivity.report(tmp_path)


def test_curves_have_one_colour_a_field_and_the_papers_numbers(tmp_path):
    for field in ("Real", "Complex"):
        for seed in range(2):
            write(tmp_path, field, seed, 0.9, reaches=2000)
    records = collect([tmp_path], "selectivity")
    figure = curves(records)
    (axis,) = figure.axes
    assert len({line.get_color() for line in axis.get_lines() if len(line.get_xdata()) == 5}) == 2
    texts = [text.get_text() for text in figure.legends[0].get_texts()]
    assert any("80.17" in text for text in texts)
    assert chance(records[0]) == 1 / 16


def test_packed_runs_unpack_to_the_same_report_and_to_runs_a_sweep_skips(tmp_path, capsys):
    write(tmp_path / "a", "Real", 0, 0.6, reaches=1000)
    write(tmp_path / "a", "Complex", 0, 0.9, reaches=1000)
    write(tmp_path / "a", "Complex", 1, 0.9, done=False, steps=3000)
    assert main(["pack", str(tmp_path / "a"), "--out", str(tmp_path / "packed")]) == 0
    assert "3 runs, 2 of them done" in capsys.readouterr().out
    assert main(["unpack", str(tmp_path / "packed"), "--out", str(tmp_path / "b")]) == 0
    before, after = (selectivity.report(tmp_path / name).splitlines()[:-1] for name in "ab")
    assert before == after
    assert [r.folder.status().state for r in collect([tmp_path / "b"], "selectivity")].count("done") == 2
    main(["pack", str(tmp_path / "b"), "--out", str(tmp_path / "again")])
    for name in ("runs.csv", "log.csv"):
        assert (tmp_path / "packed" / name).read_text() == (tmp_path / "again" / name).read_text()


def test_unpacking_leaves_runs_that_are_there_alone(tmp_path):
    folder = write(tmp_path / "a", "Real", 0, 0.6, reaches=1000)
    main(["pack", str(tmp_path / "a"), "--out", str(tmp_path / "packed")])
    (folder.path / "state.pt").write_bytes(b"a state")
    main(["unpack", str(tmp_path / "packed"), "--out", str(tmp_path / "a")])
    assert (folder.path / "state.pt").exists()
    assert json.loads((folder.path / "result.json").read_text())["result"]["test/accuracy"] == 0.6


@pytest.mark.parametrize("change", [lambda text: text.replace('""lag"":64', '""lag"":63'), lambda text: "a,b\n1,2\n"])
def test_a_changed_pack_is_refused(tmp_path, change):
    write(tmp_path / "a", "Real", 0, 0.6, reaches=1000)
    main(["pack", str(tmp_path / "a"), "--out", str(tmp_path / "packed")])
    path = tmp_path / "packed" / "runs.csv"
    path.write_text(change(path.read_text()))
    with pytest.raises(UserError, match=r"was changed|no column"):
        main(["unpack", str(tmp_path / "packed"), "--out", str(tmp_path / "b")])


def test_the_committed_runs_become_folders_again_whatever_numerics_they_are_of(tmp_path, capsys):
    packed = Path(__file__).parents[2] / "docs" / "results" / "selectivity"
    assert main(["unpack", str(packed), "--out", str(tmp_path / "runs")]) == 0
    assert main(["pack", str(tmp_path / "runs"), "--out", str(tmp_path / "again")]) == 0
    for name in ("runs.csv", "log.csv"):
        assert (tmp_path / "again" / name).read_text() == (packed / name).read_text()
