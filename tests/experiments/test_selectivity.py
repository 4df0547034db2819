"""`train_selectivity.py` from end to end, small: results, resumption, the published files, and every wrong option in one line."""

from dataclasses import asdict
from pathlib import Path

import pytest

from src.experiments import selectivity
from src.experiments.selectivity import main
from src.experiments.selectivity_config import from_flat, from_plain
from src.experiments.selectivity_work import scored_steps, work
from src.models.mamba_lm import MambaLM
from src.report import selectivity as report
from src.sweep import Control, Interrupted, Run, RunFolder, collect
from src.tasks.tokens import Copy, InductionHead
from tests.experiments.scripts import assert_one_line, worked

SMALL = {
    "dataset.name": "delay",
    "dataset.lag": 3,
    "dataset.extra": 3,
    "dataset.epoch_size": 64,
    "train.max_steps": 20,
    "model.d_model": 8,
    "test_size": 40,
    "seed": 1,
}
WORDS = [f"{key}={value}" for key, value in SMALL.items() if key not in ("dataset.name", "seed")]
PUBLISHED = """
seed: 1
dataset:
  name: "{name}"
  epoch_size: 8192
{task}
train: {{num_epochs: 1000, batch_size: 8, lr: 0.001, stop_on_loss: 0.01}}
model:
  n_layers: 2
  d_model: 64
  d_state: 16
  ssm_type: "S6-Real"
  vocab_size: 16
  pad_vocab_size_multiple: 16
  bidirectional: false
  use_cuda: true
"""
TASKS = {
    "delay": "  lag: 64\n  n_categories: 16\n  extra: 64\n  auto_regressive: false\n  copy_token: false",
    "induction_head": "  seq_len: 256\n  n_categories: 16\n  num_triggers: 1\n  induction_len: 128\n  auto_regressive: true",
}


def folder_of(out, **changes):
    config = from_flat({**SMALL, **changes}, "test")
    folder = RunFolder(out, Run("selectivity-delay", config.plain(), "small"))
    folder.path.mkdir(parents=True)
    return folder


def train(folder, control=None):
    return worked(work, folder, control)


def runs(*words):
    return selectivity._runs(*selectivity._parser().parse_words(list(words)))


def test_a_comparison_from_the_command_line(tmp_path, capsys):
    options = [
        "--config",
        "delay.yaml",
        "--compare_real_complex",
        "--seeds",
        "2",
        "--num_cpus",
        "1",
        "--wandb",
        "disabled",
    ]
    assert main([*options, "--out", str(tmp_path), "--overrides", *WORDS]) == 0
    text = capsys.readouterr().out
    assert "4 runs done" in text
    assert "chance level: 6.25 %" in text
    assert "test/accuracy, %, by what is selective" in text
    folders = collect(tmp_path, "selectivity-delay")
    counts = {folder.config["model"]["ssm_type"]: folder.result()["trainable_parameters"] for folder in folders}
    assert counts["S6-Real"] == counts["S6-Complex"]
    for folder in folders:
        result = folder.result()
        assert result["steps"] == 20
        assert all(
            0 <= result[f"test/{name}"] <= 1 for name in ("accuracy", "sequence_accuracy", "first_token_accuracy")
        )
        assert result["backends"]["selective scan"] == "compiled on cpu"
    assert (tmp_path / "selectivity-delay" / "report" / "curves-delay.png").exists()
    assert "4 of 4 runs" in report.report(tmp_path)


def test_interrupted_and_resumed_equals_uninterrupted(tmp_path):
    whole = train(folder_of(tmp_path / "whole"))
    asked = iter(range(100))
    parts = folder_of(tmp_path / "parts")
    with pytest.raises(Interrupted):
        train(parts, Control(stopped=lambda: next(asked) == 11))  # in the middle of an epoch of 8 steps
    assert 8 < RunFolder(tmp_path / "parts", parts.run).status().step < 16
    resumed = train(RunFolder(tmp_path / "parts", parts.run))
    assert resumed.result() == whole.result()
    drop = lambda rows: [{k: v for k, v in row.items() if k != "samples_per_second"} for row in rows]
    assert drop(resumed.metrics()) == drop(whole.metrics())


def test_a_short_delay_is_learned(tmp_path):
    changes = {
        "dataset.lag": 1,
        "dataset.extra": 7,
        "dataset.epoch_size": 800,
        "train.max_steps": 300,
        "train.lr": 1e-2,
        "model.d_model": 16,
    }
    result = train(folder_of(tmp_path, **changes)).result()
    assert result["test/accuracy"] > 0.9  # chance is 1/16
    assert result["test/sequence_accuracy"] > 0.5


def test_variants_of_one_title_are_told_apart(tmp_path):
    train(folder_of(tmp_path))
    train(folder_of(tmp_path, **{"model.embedding_std": 0.02}))
    text = report.report(tmp_path)
    assert ", model.embedding_std=0.02\n" in text
    assert ", model.embedding_std=1\n" in text


def test_training_stops_at_the_loss_asked_for(tmp_path):
    assert train(folder_of(tmp_path, **{"train.stop_on_loss": 100.0})).result()["steps"] == 8


def test_lengths_are_tested_where_the_task_allows(tmp_path):
    result = train(folder_of(tmp_path, lengths=[8, 64])).result()
    assert set(result["extrapolation"]) == {"8", "64"}
    assert result["extrapolation"]["64"]["examples"] == 16
    configs = [from_plain(run.config) for run in runs("--config", "induction.yaml", "--extrapolate")]
    assert configs[0].lengths == (512, 1024, 2048, 4096, 8192, 16384)


@pytest.mark.parametrize("config", ["delay.yaml", "induction.yaml"])
def test_published_grids(config):
    comparison = runs("--config", config, "--compare_real_complex")
    assert {run.config["seed"] for run in comparison} == {1111, 2222, 3333}
    assert len(comparison) == 6
    ablation = [from_plain(run.config) for run in runs("--config", config, "--ablation")]
    assert len(ablation) == len(set(map(str, ablation))) == 48
    combinations = {(c.model.B_is_selective, c.model.C_is_selective, c.model.dt_is_selective) for c in ablation}
    assert len(combinations) == 8


@pytest.mark.parametrize("name", list(TASKS))
@pytest.mark.parametrize("published", [False, True])
def test_published_files_run_unmodified(tmp_path, name, published):
    file = tmp_path / "mine.yaml"
    file.write_text(PUBLISHED.format(name=name, task=TASKS[name]))
    (run,) = runs("--config", str(file), *(["--as_published"] if published else []))
    config = from_plain(run.config)
    task = config.dataset.task()
    assert task.length == (128 if name == "delay" else 384)
    assert scored_steps(task) == (64 if name == "delay" else 128)
    assert task.symbols == (15 if published or name == "induction_head" else 16)
    assert (MambaLM(config.model).trainable_parameters() == 65_472) == published
    assert config.train.stop_on_loss == 0.01


def test_defaults_follow_the_paper():
    delay, induction = (from_plain(runs("--config", f"{name}.yaml")[0].config) for name in ("delay", "induction"))
    assert delay.dataset.task() == Copy(symbols=16, delay=64, extra=64)
    assert induction.dataset.task() == InductionHead(symbols=15, h=128, context=256)
    assert (delay.train.max_steps, induction.train.max_steps) == (1_000_000, 250_000)
    assert (delay.train.stop_on_loss, induction.train.stop_on_loss) == (None, None)
    assert asdict(delay.model) == asdict(induction.model)


WRONG = [
    ([], "--config"),
    (["--config", "dealy.yaml"], "did you mean 'delay.yaml'"),
    (["--config", "delay.yaml", "--ablation", "--compare_real_complex"], "not allowed with"),
    (["--config", "delay.yaml", "--overrides", "model.ssm_typ=S6-Real"], "did you mean 'model.ssm_type'"),
    (["--config", "delay.yaml", "--overrides", "model.ssm_type=S6-Compex"], "did you mean 'S6-Complex'"),
    (["--config", "delay.yaml", "--overrides", "train.lr=fast"], "is not a number"),
    (["--config", "delay.yaml", "--overrides", "train.lr=0"], "positive"),
    (["--config", "delay.yaml", "--overrides", "train.batch_size=0"], "1 or more"),
    (["--config", "delay.yaml", "--overrides", "train.batch_size=9000"], "more than dataset.epoch_size"),
    (["--config", "delay.yaml", "--overrides", "dataset.lag=0"], "1 or more"),
    (["--config", "delay.yaml", "--overrides", "dataset.copy_token=true"], "the delay task of the paper has False"),
    (["--config", "delay.yaml", "--overrides", "model.bidirectional=true"], "causal"),
    (["--config", "delay.yaml", "--overrides", "model.vocab_size=8"], "different tokens"),
    (["--config", "delay.yaml", "--overrides", "seed=-1"], "seed"),
    (["--config", "delay.yaml", "--overrides", "seed=x"], "is not a whole number"),
    (["--config", "delay.yaml", "--overrides", "lengths=[2]"], "needs inputs longer"),
    (["--config", "delay.yaml", "--overrides", "train.lr"], "expected key=value"),
    (["--config", "delay.yaml", "--num_cpu", "2"], "did you mean '--num_cpus'"),
]


@pytest.mark.parametrize(("words", "expected"), WRONG, ids=[" ".join(words[2:]) or "nothing" for words, _ in WRONG])
def test_a_wrong_option_is_one_line_and_exit_code_2(words, expected, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert_one_line(main, words, expected, capsys)
    assert not list(Path.cwd().iterdir())


@pytest.mark.parametrize(("grid", "count"), [("--compare_real_complex", 6), ("--ablation", 48)])
def test_a_published_file_without_a_sweep_has_the_published_grids(grid, count, tmp_path, capsys):
    (tmp_path / "mine.yaml").write_text(PUBLISHED.format(name="delay", task=TASKS["delay"]))
    words = [
        "--config",
        str(tmp_path / "mine.yaml"),
        grid,
        "--dry_run",
        "--device",
        "cpu",
        "--out",
        str(tmp_path / "runs"),
    ]
    assert main(words) == 0
    assert f"{count} runs: 0 done" in capsys.readouterr().out
