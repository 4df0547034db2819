"""The report of `train.py` from made-up runs: settings, seeds, what is best, differences, curves."""

import csv
import json

import numpy as np
import pytest

from src.report import field_gap, style, train
from src.report.collect import record_of
from src.report.options import Options
from src.sweep import Run, RunFolder, collect
from src.tables import LINES, WIDTH

RNG = np.random.default_rng(0)


def write(out, layer, seed, accuracy, label="small/x", epochs=2, right=None, facts=None, metric="accuracy", **changes):
    config = {
        "model": {"layer": {"_name_": layer, "is_real": False}, "d_model": 8},
        "train": {"seed": seed, "monitor": "val/accuracy"},
        "dataset": {"name": "digits"},
        "optimizer": {"lr": 0.01},
        "reference": {"accuracy": 99.0, "recalled": True},
        **changes,
    }
    folder = RunFolder(out, Run("train-x", config, f"{label} train.seed={seed}"))
    folder.path.mkdir(parents=True)
    with folder.locked():
        folder.start({})
        for epoch in range(1, epochs + 1):
            row = {f"{split}/{name}": accuracy for split in ("train", "val") for name in ("loss", metric)}
            folder.log.log(10 * epoch, epoch=epoch, **row)
        if right is not None:
            folder.save_arrays(**{"test_right@best-val": right})
        result = {f"test@best-val/{metric}": accuracy, f"test@last/{metric}": accuracy - 0.01, "best/val": accuracy}
        rest = {
            "epochs": epochs,
            "best_epoch": 1,
            "n_parameters": 1234,
            "data": "digits: made up",
            "epoch_seconds": 2.5,
        }
        folder.finish(result | rest | (facts or {}))
    return folder


def read(path):
    with path.open() as stream:
        return list(csv.DictReader(stream))


def test_models_of_numbers_are_compared_seed_by_seed(tmp_path):
    """R² of two models over three seeds: the difference is that of pairs, whose spread is less than that of either model."""
    for seed, common in enumerate((0.0, 0.1, 0.2)):
        numbers = {"metric": "r2", "facts": {"target_std": 2.0, "test@best-val/mae": 1.0 + common}}
        write(tmp_path, "s4", seed, 0.5 + common, **numbers)
        write(tmp_path, "s4d", seed, 0.6 + common + 0.01 * (seed - 1), **numbers)
    text = train.report(tmp_path)
    rows = {row["setting"]: row for row in read(tmp_path / "report" / "train.csv")}
    assert float(rows["s4d"]["mae"]) == pytest.approx(1.1)
    assert "R² in percent, mae in the labels' unit" in text
    records = [record_of(folder) for folder in collect(tmp_path, "train-x")]
    ((first, second, difference, p, by),) = train.differences(records).rows
    assert (first, second) == ("s4d", "s4")
    assert "seed" in by
    assert (difference.value, difference.n) == (pytest.approx(10), 3)
    assert difference.half_width == pytest.approx(
        4.302653 / 3**0.5
    )  # 1 point from seed to seed, where each model has 10
    assert p < 0.01


def test_runs_are_grouped_by_setting_sorted_and_the_best_marked(tmp_path):
    for seed in range(3):
        write(tmp_path, "s4", seed, 0.7 + 0.01 * seed)
        write(tmp_path, "s4d", seed, 0.8 + 0.01 * seed)
    text = train.report(tmp_path)
    rows = read(tmp_path / "report" / "train.csv")
    assert [(row["setting"], row["seeds"]) for row in rows] == [("s4d", "3"), ("s4", "3")]
    half = 4.302653 / 3**0.5  # Student's t of 2 degrees, sd of 1 point
    assert float(rows[0]["test@best-val low"]) == pytest.approx(81 - half, abs=1e-4)
    assert "81.0 ± 2.5*" in text
    assert "71.0 ± 2.5 " in text
    assert "99.00 (recalled)" in text
    assert "Single runs" not in text
    assert "Single runs" in train.report(tmp_path, Options(runs=True))
    assert len(read(tmp_path / "report" / "train-runs.csv")) == 6


def test_a_difference_is_paired_over_shared_seeds(tmp_path):
    for seed in range(3):
        write(tmp_path, "s4", seed, 0.7 + 0.05 * seed)
        write(tmp_path, "s4d", seed, 0.8 + 0.05 * seed + 0.001 * (seed == 1))
    text = train.report(tmp_path)
    (line,) = [line for line in text.splitlines() if "3 shared seeds" in line]
    assert line.split()[:2] == ["s4d", "s4"]
    assert "10.03 ± 0.14" in line  # the spread over seeds is shared and drops out


def test_one_shared_seed_is_judged_by_shared_test_examples(tmp_path):
    first = RNG.random(500) < 0.8
    second = first & (RNG.random(500) < 0.9)
    write(tmp_path, "s4d", 0, first.mean(), right=first)
    write(tmp_path, "s4", 0, second.mean(), right=second)
    write(tmp_path, "s5", 0, 0.1)  # kept no examples: nothing can be said
    text = train.report(tmp_path)
    (line,) = [line for line in text.splitlines() if "500 shared examples" in line]
    assert line.split()[:2] == ["s4d", "s4"]
    assert sum("shared" in line and "s5" in line for line in text.splitlines()) == 0


def test_other_test_data_are_not_paired(tmp_path):
    right = RNG.random(500) < 0.8
    write(tmp_path, "s4d", 0, 0.8, right=right)
    write(tmp_path, "s4", 0, 0.7, right=right, dataset={"name": "digits", "test_size": 500})
    assert "shared examples, one seed" not in train.report(tmp_path)


def test_settings_of_one_layer_are_named_by_the_options_that_differ(tmp_path):
    write(tmp_path, "s4d", 0, 0.8)
    write(tmp_path, "s4d", 0, 0.9, label="small/x optimizer.lr=0.1", optimizer={"lr": 0.1})
    write(tmp_path, "s4", 0, 0.7, label="small/x model/layer=s4")
    train.report(tmp_path)
    names = [row["setting"] for row in read(tmp_path / "report" / "train.csv")]
    assert names == ["s4d optimizer.lr=0.1", "s4d", "s4"]


def test_many_settings_fit_a_terminal_and_have_few_colours(tmp_path, monkeypatch):
    for i in range(60):
        label = f"small/x optimizer.lr={i} scheduler.num_training_steps=100 model.layer.d_state={i}"
        write(tmp_path, "s4d", 0, 0.5 + i / 200, label=label, optimizer={"lr": i})
    labels = []
    monkeypatch.setattr(style, "save", lambda figure, path, formats: labels.extend(figure.legends[0].get_texts()))
    text = train.report(tmp_path)
    tables = text.split("\n\n")
    assert all(
        len(line) <= WIDTH for table in tables for line in table.splitlines() if "Tables and figures" not in line
    )
    assert all(len(table.splitlines()) <= LINES for table in tables)
    assert "more rows (--full" in text
    assert sum("optimizer.lr" in label.get_text() for label in labels) == len(style.CYCLE)
    assert "6 best of 60" in (tmp_path / "report" / "train.md").read_text()


def test_complex_and_real_are_compared_at_each_size(tmp_path):
    for d_model, gain in ((8, 0.05), (16, 0.10)):
        for seed in range(3):
            for real in (False, True):
                layer = {"_name_": "s4d", "is_real": real, "init": "diag-real" if real else "legs"}
                model = {"layer": layer, "d_model": d_model, "n_layers": 2}
                accuracy = 0.5 + 0.01 * seed + (0 if real else gain)
                folder = write(tmp_path, "s4d", seed, accuracy, label=f"small/x {d_model} {real}", model=model)
                record = json.loads((folder.path / "result.json").read_text())
                record["result"] |= {"n_parameters": 100 * d_model, "n_train": 1000}
                (folder.path / "result.json").write_text(json.dumps(record))
    records = train_records(tmp_path)
    table = field_gap.gaps(records, train.right)
    assert [row[0] for row in table.rows] == [800, 1600]
    assert [row[4].value for row in table.rows] == pytest.approx([5, 10])
    assert all(row[6] == "3 shared seeds" for row in table.rows)
    assert "Complex against real at equal parameters" in train.report(tmp_path)
    assert (tmp_path / "report" / "train-x-gap.png").exists()
    assert not field_gap.pairs([r for r in records if field_gap.is_real(r)])


def test_no_line_goes_through_a_single_point_and_seeds_share_a_colour(tmp_path):
    def lines(epochs):
        for seed in range(2):
            write(tmp_path / str(epochs), "s4", seed, 0.7, epochs=epochs)
        folders = [
            RunFolder(tmp_path / str(epochs), Run("train-x", r.config)) for r in train_records(tmp_path / str(epochs))
        ]
        with style.style():
            figure = train._figure({"s4": [folder.metrics() for folder in folders]})
            return [line for axis in figure.axes for line in axis.get_lines()]

    assert all(line.get_linestyle() == "None" for line in lines(1))
    drawn = lines(3)
    assert len(drawn) == 2 * 2 * 2  # panels, seeds, splits
    assert len({line.get_color() for line in drawn}) == 1


def train_records(out):
    from src.report.collect import collect

    return collect([out], "train-")


def test_a_table_says_what_the_data_are_and_a_sweep_what_was_not_learned(tmp_path):
    facts = {"l_max": 2048, "vocabulary": 18, "class_counts": [30, 10, 60], "warnings": ["nothing is learned"]}
    write(tmp_path, "s4", 0, 0.2, facts=facts)
    text = train.report(tmp_path)
    assert "data: digits: made up; L <= 2,048; 18 symbols; 3 classes of 10.0 to 60.0 % in training" in text
    assert "nothing is learned" in text
    assert "nothing is learned" in (tmp_path / "report" / "train.md").read_text()
