"""The model of a finished run without its data: the run's own accuracy, and step by step what it computes at once."""

import re
from pathlib import Path

import pytest
import torch

from src.engine import Evaluation
from src.errors import UserError
from src.experiments.classify import data
from src.experiments.classify.compose import compose_all
from src.experiments.classify.config import parse
from src.experiments.classify.run import prepare, train
from src.experiments.classify.trained import load_trained
from src.sweep import Control, Run, RunFolder
from tests.experiments.train_data import tiny_load

CPU = torch.device("cpu")
README = Path(__file__).parents[2] / "README.md"
SMALL = [
    "model.n_layers=2",
    "model.d_model=6",
    "model.layer.d_state=4",
    "loader.batch_size=4",
    "trainer.max_epochs=2",
    "wandb=null",
]


@pytest.fixture(autouse=True)
def _tiny(monkeypatch):
    monkeypatch.setattr(data, "load", tiny_load)


def trained(out, experiment, *words):
    """Returns the folder of a run, and what it was prepared with."""
    config = parse(compose_all([f"experiment=lra/{experiment}", *SMALL, *words])[0].config)
    folder, prepared = RunFolder(out, Run("train-x", config.plain)), prepare(config, CPU)
    with folder.locked():
        folder.start({})
        folder.finish(train(prepared, folder, Control()))
    return folder, prepared


@pytest.mark.parametrize("experiment", ["s4-cifar", "s4d-listops", "s4-PTD-aan"])
def test_it_has_the_accuracy_of_its_run_and_streams(experiment, tmp_path, monkeypatch):
    folder, prepared = trained(tmp_path, experiment, "model.layer.bidirectional=false", "train.ema=0.9")
    monkeypatch.setattr(data, "load", None)  # no data are needed
    model = load_trained(folder.path)
    best = Evaluation(prepared.batches("test"), prepared.goal.objective, CPU)(model)
    assert best["loss"] == pytest.approx(folder.result()["test@best-val/loss"], rel=1e-6)
    last = Evaluation(prepared.batches("test"), prepared.goal.objective, CPU)(load_trained(folder.path, "last"))
    assert last["loss"] == pytest.approx(folder.result()["test@last/loss"], rel=1e-6)

    batch = prepared.splits.test.batch(torch.arange(3))
    x = batch.x[..., :9, :] if batch.x.is_floating_point() else batch.x[..., :9]
    state, system = model.default_state(3), model.discrete()
    with torch.no_grad():
        for x_t in x.unbind(-2 if x.is_floating_point() else -1):
            logits, state = model.step(x_t, state, system)
        torch.testing.assert_close(logits, model(x), rtol=1e-4, atol=1e-5)


def test_readme_streams(tmp_path):
    folder, prepared = trained(tmp_path, "s4d-cifar", "model.layer.bidirectional=false")
    (code,) = (
        code
        for code in re.findall(r"```python\n(.*?)```", README.read_text(), flags=re.DOTALL)
        if "load_trained" in code
    )
    path = re.search(r'"(runs/[^"]*)"', code)[1]
    x = prepared.splits.test.batch(torch.arange(1)).x
    names = {"stream": x.unbind(1)}
    exec(code.replace(path, str(folder.path)), names)
    torch.testing.assert_close(names["logits"], names["model"](x), rtol=1e-4, atol=1e-5)


def test_it_does_not_need_what_it_started_from(tmp_path):
    first, _ = trained(tmp_path / "first", "s4d-cifar")
    start = first.path / "best.pt"
    second, _ = trained(tmp_path / "second", "s4d-cifar", f"train.ckpt={start}")
    start.unlink()
    load_trained(second.path)


def test_user_errors(tmp_path):
    with pytest.raises(UserError, match="holds no run"):
        load_trained(tmp_path)
    folder, _ = trained(tmp_path, "s4d-cifar")
    with pytest.raises(UserError, match="did you mean 'best'"):
        load_trained(folder.path, "bets")
    (folder.path / "best.pt").unlink()
    with pytest.raises(UserError, match=r"no best weights yet; it has weights='last' \(--weights last\)"):
        load_trained(folder.path)
    load_trained(folder.path, "last")
    (folder.path / "state.pt").unlink()
    with pytest.raises(UserError, match="no weights yet"):
        load_trained(folder.path)
