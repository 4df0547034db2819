"""The YAML files of `train.py`: all of them train; published files run unmodified; what is wrong is one line before data are read."""

import math
import re
import shutil
from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf

from src.errors import UserError
from src.experiments.classify import compose, data
from src.experiments.classify.compose import CONFIGS, compose_all, experiments
from src.experiments.classify.config import parse
from src.experiments.classify.model import DataShape, build_model, groups_of
from src.experiments.train import main
from src.sweep import collect
from tests.experiments.scripts import assert_one_line
from tests.experiments.train_data import tiny_load

PUBLISHED = Path(__file__).parent / "published"
MODELS, TASKS = ("s4-PTD", "s4", "s4d", "s5", "s5-PTD"), ("listops", "imdb", "aan", "cifar", "pathfinder", "pathx")


def config_of(*words):
    return parse(compose_all(words)[0].config)


@pytest.fixture
def tiny(monkeypatch):
    monkeypatch.setattr(data, "load", tiny_load)


@pytest.fixture
def own_files(tmp_path, monkeypatch):
    """`configs/` with the published files dropped into experiment/lra."""
    root = shutil.copytree(CONFIGS, tmp_path / "configs")
    for file in PUBLISHED.glob("*.yaml"):
        shutil.copy(file, root / "experiment" / "lra")
    monkeypatch.setattr(compose, "CONFIGS", root)
    monkeypatch.setattr(compose, "EXPERIMENTS", root / "experiment")
    return root


def two_steps(name, out, *words):
    small = [
        "model.n_layers=1",
        "model.d_model=32",
        "loader.batch_size=4",
        "trainer.max_steps=2",
        "wandb=null",
        "device=cpu",
        f"out={out}",
    ]
    assert main([f"experiment={name}", *small, *words]) == 0
    experiment = next(path.name for path in out.iterdir() if path.is_dir())  # beside them stands index.html
    (folder,) = collect(out, experiment)
    return folder.result()


@pytest.mark.parametrize("name", experiments())
def test_every_experiment_trains_two_steps(name, tiny, tmp_path):
    result = two_steps(name, tmp_path)
    assert result["steps"] == 2
    assert math.isfinite(result["train/loss"])
    assert math.isfinite(result["test@last/loss"])
    assert "made up" in result["data"]


def test_every_promised_experiment_is_there():
    promised = {f"lra/{model}-{task}" for model in MODELS for task in TASKS}
    promised |= {"lra/s4d-complex-cifar", "lra/s4d-real-cifar", "smoke/digits", "base"}
    promised |= {f"sequential/{model}-{task}" for model in MODELS[:4] for task in ("mnist", "cifar", "sc10", "sc35")}
    assert promised <= set(experiments())


@pytest.mark.parametrize("name", sorted(path.stem for path in PUBLISHED.glob("*.yaml")))
def test_published_files_run_unmodified(name, tiny, own_files, tmp_path):
    assert two_steps(f"lra/{name}", tmp_path / "out")["steps"] == 2
    assert two_steps(f"lra/{name}.yaml", tmp_path / "again")["steps"] == 2  # as the published command writes it
    raw = OmegaConf.to_container(OmegaConf.load(PUBLISHED / f"{name}.yaml"))
    composed = compose_all([f"experiment=lra/{name}"])[0].config
    for section in ("model", "loader", "optimizer", "scheduler", "trainer", "train", "dataset"):
        assert contains(composed[section], raw.get(section, {}))


def contains(config, part):
    if isinstance(part, dict):
        return all(contains(config[key], value) for key, value in part.items())
    return config == part


@pytest.mark.parametrize("where", ["real_world/s4d-real-cifar", "configs/real_world/s4d-real-cifar.yaml"])
def test_a_file_outside_the_experiments_works_too(where):
    other, own = compose_all([f"experiment={where}"])[0], compose_all(["experiment=lra/s4d-real-cifar"])[0]
    assert other.config == own.config


def test_a_file_anywhere_works(tmp_path):
    shutil.copy(PUBLISHED / "s4d-real.yaml", tmp_path / "mine.yaml")
    one = compose_all([f"experiment={tmp_path / 'mine.yaml'}"])[0]
    assert one.experiment == "mine"
    assert one.config["model"]["layer"]["is_real"] is True


def test_a_file_that_is_not_yaml_is_named_with_its_line(tmp_path):
    (tmp_path / "torn.yaml").write_text("# @package _global_\nmodel:\n  d_model: [1,\n")
    with pytest.raises(UserError, match=r"torn.yaml.* line \d: not valid YAML") as caught:
        compose_all([f"experiment={tmp_path / 'torn.yaml'}"])
    assert "\n" not in str(caught.value)


def test_complex_and_real_have_equal_numbers_of_trainable_parameters():
    splits = tiny_load("cifar", grayscale=True)
    count = lambda name: sum(
        p.numel() for p in build_model(config_of(f"experiment=lra/{name}"), DataShape.of(splits)).parameters()
    )
    assert count("s4d-complex-cifar") == count("s4d-real-cifar")


def test_the_published_learning_rates_reach_the_optimizer():
    config = config_of("experiment=lra/s4-PTD-imdb")
    groups = groups_of(config, build_model(config, DataShape.of(tiny_load("imdb"))))
    of = lambda leaf: {
        (g.lr, g.weight_decay) for g in groups for name in g.parameters if name.endswith(f"kernel.{leaf}")
    }
    assert of("A_real") == of("A_imag") == of("B") == {(0.001, 0.0)}
    assert of("inv_dt") == {(0.01, 0.0)}  # dt has the global rate and, as an SSM parameter, no decay
    assert of("C") == {(0.01, 0.05)}


def test_s4_ptd_has_64_complex_states_a_channel():
    config = config_of("experiment=lra/s4-PTD-cifar")
    kernel = build_model(config, DataShape.of(tiny_load("cifar", grayscale=True))).tower.backbone.blocks[0].layer.kernel
    assert kernel.C.shape == (2, 128, 64, 2)
    assert torch.all(kernel.weight == 1)
    assert torch.all(kernel.Lambda.real < 0)


def test_a_result_keeps_the_system_that_was_trained_and_the_one_that_was_found(tiny, tmp_path, capsys):
    """A random E of this size and seed is unstable: reflection makes another E of it."""
    words = [f"model.layer.perturbation{word}" for word in ("=random", "_size=0.1", "_seed=5")]
    result = two_steps("smoke/digits", tmp_path, "model/layer=s4-ptd", "model.layer.d_state=32", *words)
    assert result["E_max_real"] < 0 < result["E_found_max_real"]
    assert result["E_found_size"] == pytest.approx(0.1)
    assert result["E_size"] > result["E_found_size"]
    assert f"size {result['E_found_size']:.4g} -> {result['E_size']:.4g}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["experiment=lra/s4-PTD-cifr"], "did you mean 'lra/s4-PTD-cifar'"),
        (["optimizer.lrr=1"], "unknown key 'optimizer.lrr'; did you mean 'optimizer.lr'"),
        (["trian.seed=1"], "did you mean 'train.seed'"),
        (["+optimizer.betta=1"], "unknown key 'betta'; did you mean 'betas'"),
        (["+foo=1"], "unknown key 'foo'"),
        (["optimizer.lr=abc"], "lr = 'abc' is not a number"),
        (["optimizer.lr=-1"], "expected a positive number"),
        (["trainer.max_epochs=two"], "max_epochs = 'two' is not a whole number"),
        (["trainer.max_epochs=1,2"], "add -m"),
        (["model/layer=s4x"], "no file 's4x' in configs/model/layer; did you mean 's4'"),
        (["scheduler=plateua"], "did you mean 'plateau'"),
        (["model.layer.init=diag-lin"], "is for a diagonal SSM and this is S4; add `model/layer=s4d`"),
        (["model/layer=s4d", "model.layer.init=legt"], "needs a low-rank term"),
        (["model/layer=s4d", "model.layer.init=diag-lim"], "did you mean 'diag-lin'"),
        (["model/layer=s4-ptd", "model.layer.init=diag-lin"], "starts from HiPPO-LegS"),
        (["model.layer.is_real=true"], "needs a diagonal SSM"),
        (["model.layer.d_state=7"], "must be even, got 7"),
        (["model.layer.n_ssm=3"], "n_ssm must divide d_model"),
        (["model.layer.lr=fast"], "is not a number, null"),
        (["model=s5", "model.layer.blocks=7"], "blocks = 7 must divide"),
        (["model.residual=S"], "residual = 'S' is not"),
        (["dataset.permut=true"], "did you mean 'dataset.permute'"),
        (["dataset.val_split=2"], "not between 0 and 1"),
        (["dataset.train_size=0"], "expected a positive number"),
        (["task=retrieval"], "do not go together"),
        (["train.interval=step"], "scheduler plateau counts epochs"),
        (["train.monitor=val/acc"], "did you mean 'val/accuracy'"),
        (["train.mode=test"], "needs train.ckpt"),
        (["trainer.precision=fp16"], "needs a CUDA device"),
        (["trainer.max_epochs=null"], "training needs an end"),
        (["hydra.run.dir=x"], "out=FOLDER"),
        (["~nothing"], "does not exist"),
        (["optimizer.lr=["], "expected key=value"),
        (["device=gpu"], "'gpu' is not a choice"),
        (["--cgf", "job"], "did you mean '--cfg'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_mistakes_are_one_line_before_data_are_read(words, message, monkeypatch, tmp_path, capsys):
    def never(*_, **__):
        raise AssertionError("data were read")

    monkeypatch.setattr(data, "load", never)
    assert_one_line(main, [*words, f"out={tmp_path}"], re.compile(message), capsys)
    assert not list(tmp_path.iterdir())


def test_cfg_job_prints_the_resolved_config(capsys):
    assert main(["--cfg", "job", "experiment=lra/s5-PTD-cifar", "~wandb"]) == 0
    printed = OmegaConf.to_container(OmegaConf.create(capsys.readouterr().out))
    assert printed["model"]["layer"]["_name_"] == "s5-ptd"
    assert printed["optimizer"]["lr"] == 0.005
    assert "wandb" not in printed


@pytest.mark.parametrize(
    "words",
    [
        ["model.layer.n_ssm=3"],
        ["task=retrieval"],
        ["train.interval=step"],
        ["model.layer.d_state=7"],
        ["scheduler.factor=x"],
    ],
    ids=" ".join,
)
def test_cfg_job_refuses_what_training_refuses(words, capsys):
    with pytest.raises(UserError):
        main(["--cfg", "job", *words])
    assert capsys.readouterr().out == ""


def test_equal_runs_have_equal_keys_whatever_the_place_and_the_mirror(tmp_path):
    plain = lambda *words: config_of("experiment=smoke/digits", *words).plain
    assert plain() == plain(
        "wandb=null", f"out={tmp_path}", "device=cpu", "train.resume=never", "reference.milestone=x"
    )
    assert plain() != plain("optimizer.lr=0.02")


def test_keys_of_a_gpu_leave_the_runs_of_before_their_key():
    """At their defaults they are no part of it; a worker of a sweep reads what else was chosen from it."""
    plain = config_of("experiment=smoke/digits").plain
    assert "stage" not in plain["loader"]
    assert "cuda_graph" not in plain["trainer"]
    assert parse(plain).loader.stage == "auto"
    chosen = config_of("experiment=smoke/digits", "loader.stage=host", "trainer.cuda_graph=true").plain
    assert (parse(chosen).loader.stage, parse(chosen).trainer.cuda_graph) == ("host", True)


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("loader.stage=disk", "loader"),
        ("loader.stag=host", "did you mean 'loader.stage'"),
        ("trainer.cuda_graph=1", "trainer"),
        ("trainer.cuda_graph=true", "needs a CUDA device and this run is on a CPU"),
    ],
)
def test_wrong_keys_of_a_gpu_are_one_line_before_data_are_read(word, message, tmp_path, monkeypatch):
    monkeypatch.setattr(data, "load", lambda *_, **__: pytest.fail("data were read"))
    with pytest.raises(UserError, match=message) as caught:
        main(["experiment=smoke/digits", word, "device=cpu", "wandb=null", f"out={tmp_path}"])
    assert "\n" not in str(caught.value)


def test_a_file_of_ones_own_that_speaks_to_hydra_is_told_that_nobody_listens(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(
        "# @package _global_\ndefaults:\n  - /experiment/smoke/digits\nhydra:\n  run:\n    dir: elsewhere\n"
    )
    with pytest.raises(UserError, match=r"mine.yaml: a section 'hydra' has no effect here; .*out=FOLDER"):
        compose_all([f"experiment={path}"])
