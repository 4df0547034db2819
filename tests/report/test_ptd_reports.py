"""Reports of robustness and ablation from made-up runs: means over seeds, what is compared, and figures with several seeds."""

import csv

import pytest

from src.experiments.classify.config import SECTIONS
from src.experiments.classify.points import defaults_of
from src.report import ablation, robustness
from src.report.settings import slugs
from src.sweep import Run, RunFolder


def finished(out, experiment, config, result, rows=()):
    folder = RunFolder(out, Run(experiment, config))
    folder.path.mkdir(parents=True)
    with folder.locked():
        folder.start({})
        for step, row in enumerate(rows):
            folder.log.log(step, **row)
        folder.finish(result)


def config_of(script, **asked):
    """A run's config, its sections as far as a report looks at them."""
    keys = {key: value for key, value in defaults_of(script).items() if key not in {*SECTIONS, "defaults"}}
    keys |= {"dataset": "cifar10", **asked}
    return {
        "asked": keys,
        "model": {"n_layers": 4, "layer": {"_name_": asked["model"]}},
        "train": {"seed": keys["seed"]},
    }


def robustness_run(out, model, seed, clean, noisy, **changes):
    own = {} if model == "s4-ptd" else {"perturbation": None, "perturbation_size": None}
    config = config_of("robustness", **{"model": model, "seed": seed, **changes, **own})
    probe = {"kind": "fourier", "omega": 300.0, "accuracy": noisy, "loss": 1.0}
    probes = [{**probe, "group": "clean", "kind": "clean", "omega": None, "level": 0.0, "accuracy": clean}]
    probes += [{**probe, "group": "frequency", "omega": w, "level": 0.1} for w in (10.0, 325.4, 1000.0)]
    probes += [{**probe, "group": "amplitude", "level": a} for a in (0.1, 1.0)]
    probes += [{**probe, "group": "mask", "kind": "mask", "level": 0.5}]
    result = {"val/accuracy": clean, "test/accuracy": clean, "noisy/accuracy": noisy, "probes": probes}
    rows = [{"epoch": e, "test/accuracy": clean * e / 3, "noisy/accuracy": noisy * e / 3} for e in (1, 2, 3)]
    finished(out, "robustness", config, result, rows)


def read(path):
    with path.open() as stream:
        return list(csv.DictReader(stream))


def test_robustness_compares_models_over_seeds(tmp_path):
    for seed in range(3):
        robustness_run(tmp_path, "s4d", seed, 0.6 + 0.01 * seed, 0.2)
        robustness_run(tmp_path, "s4-ptd", seed, 0.6, 0.6)
    robustness_run(tmp_path, "s4d", 0, 0.3, 0.1, dataset="mnist")
    text = robustness.report(tmp_path)
    assert "7 of 7 runs done" in text
    rows = read(tmp_path / "report" / "robustness.csv")
    assert [(row["model"], row["seeds"]) for row in rows] == [("s4-ptd", "3"), ("s4d", "3"), ("s4d", "1")]
    s4d = next(row for row in rows if row["model"] == "s4d")
    assert float(s4d["test_accuracy"]) == pytest.approx(61)
    assert float(s4d["test_accuracy high"]) == pytest.approx(61 + 4.302653 / 3**0.5)  # Student's t of 2 degrees, sd 1
    assert float(s4d["lost"]) == pytest.approx(41)
    assert [row["model"] for row in rows[:2]] == ["s4-ptd", "s4d"]  # what stands best under noise first
    assert "3 shared seeds" in text
    assert len(read(tmp_path / "report" / "robustness-probes.csv")) == 7 * 7
    names = {path.name for path in (tmp_path / "report").glob("*.png")}
    assert {"robustness-training-cifar10.png", "robustness-frequency-mnist.png"} <= names
    assert len(names) == 6


def test_settings_of_one_data_set_are_numbered():
    names = [{"dataset": name} for name in ("cifar10", "mnist", "cifar10")]
    assert slugs(names) == ["-cifar10-1", "-mnist", "-cifar10-2"]


def test_two_perturbations_of_one_model_are_two_rows(tmp_path):
    robustness_run(tmp_path, "s4-ptd", 0, 0.6, 0.6)
    robustness_run(tmp_path, "s4-ptd", 0, 0.5, 0.4, perturbation="random", perturbation_size=0.1)
    robustness.report(tmp_path)
    assert [row["perturbation"] for row in read(tmp_path / "report" / "robustness.csv")] == [
        "ptbHiPPO32.mat",
        "random 0.1",
    ]


def ablation_run(out, model, kind, size, seed, test, cond=None):
    config = config_of("ablation", model=model, seed=seed, perturbation=kind, size=size, delta=None)
    figures = {"E_size": size, "E_cond": cond, "E_max_real": -0.5} if kind else {"E_size": 0.5}  # S4D is E = P P^T
    accuracy = {f"{part}/accuracy": test for part in ("val", "test", "train")}
    finished(out, "ablation", config, {**accuracy, **figures})


def test_ablation_sorts_baselines_first_and_sizes_falling(tmp_path):
    for seed in (0, 1):
        ablation_run(tmp_path, "s4", None, None, seed, 0.7)
        ablation_run(tmp_path, "s4d", None, None, seed, 0.6)
        for size in (0.01, 0.1):
            ablation_run(tmp_path, "s4-ptd", "optimised", size, seed, 0.5 + seed / 10, cond=1 / size)
            ablation_run(tmp_path, "s4-ptd", "random", size, seed, 0.4, cond=(5 + seed) / size)
    assert "12 of 12 runs done" in ablation.report(tmp_path)
    rows = read(tmp_path / "report" / "ablation.csv")
    assert [(row["model"], row["perturbation"], row["||E||/||A||"]) for row in rows] == [
        ("s4d", "-", ""),
        ("s4", "-", ""),
        *(("s4-ptd", kind, size) for kind in ("optimised", "random") for size in ("0.1", "0.01")),
    ]
    assert float(rows[2]["test_accuracy"]) == pytest.approx(55)
    assert float(rows[5]["cond(V)"]) == 600  # the larger of two draws
    assert (tmp_path / "report" / "ablation-cifar10.png").exists()


def test_baselines_alone_have_a_table_and_no_figure(tmp_path):
    ablation_run(tmp_path, "s4", None, None, 0, 0.7)
    ablation.report(tmp_path)
    assert len(read(tmp_path / "report" / "ablation.csv")) == 1
    assert not list((tmp_path / "report").glob("*.png"))
