"""A trained model taken away: what is written loads and streams where the package is not, and equals the model."""

import json
import re
import subprocess
import sys

import pytest
import torch

from src.errors import UserError
from src.experiments.classify import data
from src.experiments.classify.compose import compose_all
from src.experiments.classify.config import parse
from src.experiments.classify.run import prepare, train
from src.experiments.classify.trained import load_trained
from src.export import README, export, export_step, flat_state, main
from src.sweep import Control, Run, RunFolder
from tests.experiments.train_data import tiny_load

SMALL = [
    "model.n_layers=2",
    "model.d_model=6",
    "model.layer.d_state=4",
    "loader.batch_size=4",
    "trainer.max_epochs=1",
    "wandb=null",
]


def trained(out, monkeypatch, experiment, *words):
    """The folder of a run."""
    monkeypatch.setattr(data, "load", tiny_load)
    config = parse(compose_all([f"experiment=lra/{experiment}", *SMALL, *words])[0].config)
    folder = RunFolder(out, Run("train-x", config.plain))
    with folder.locked():
        folder.start({})
        train(prepare(config, torch.device("cpu")), folder, Control())
    return folder.path


@pytest.mark.parametrize("experiment", ["s4-cifar", "s4d-listops", "s4-PTD-cifar", "s5-cifar"])
def test_it_streams_without_the_package(experiment, tmp_path, monkeypatch):
    words = ["model.layer.bidirectional=false", *(["model.layer.blocks=1"] if experiment.startswith("s5") else [])]
    run = trained(tmp_path / "runs", monkeypatch, experiment, *words)
    away = tmp_path / "away"
    files = {path.name for path in export(run, away)}
    assert files == {"weights.safetensors", "config.yaml", "step.pt2", "state.json", "README.md"}
    model = load_trained(run)
    tokens = json.loads((away / "state.json").read_text())["input"]["dtype"] == "int64"
    stream = torch.randint(1, 5, (7, 3)) if tokens else torch.randn(7, 3, 1)
    torch.save(stream, away / "stream.pt")
    snippet = re.search(r"```python\n(.*?)```", (away / README).read_text(), flags=re.DOTALL)[1].replace(
        "B = 1", "B = 3"
    )
    program = f"import sys, torch\nstream = torch.load('stream.pt')\n{snippet}\ntorch.save(logits, 'logits.pt')\n"
    program += "assert not any(name.split('.')[0] in ('src', 'ssm_experiments') for name in sys.modules)\n"
    done = subprocess.run([sys.executable, "-I", "-c", program], cwd=away, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    with torch.no_grad():
        state, system = model.default_state(3), model.discrete()
        for x in stream:
            want, state = model.step(x, state, system)
    torch.testing.assert_close(torch.load(away / "logits.pt"), want, rtol=1e-5, atol=1e-6)


def test_the_weights_are_the_models(tmp_path, monkeypatch):
    from safetensors.torch import load_file

    run = trained(tmp_path / "runs", monkeypatch, "s4d-cifar", "model.layer.bidirectional=false")
    export(run, tmp_path / "away", "last")
    weights, model = load_file(tmp_path / "away" / "weights.safetensors"), load_trained(run, "last")
    assert set(weights) == set(model.state_dict())
    assert all(torch.equal(weights[name], tensor) for name, tensor in model.state_dict().items())


def test_a_bidirectional_model_is_refused_and_nothing_is_written(tmp_path, monkeypatch):
    run = trained(tmp_path / "runs", monkeypatch, "s4d-cifar", "model.layer.bidirectional=true")
    with pytest.raises(UserError, match=r"bidirectional.*model.layer.bidirectional=false"):
        export(run, tmp_path / "away")
    assert [path.name for path in tmp_path.iterdir()] == ["runs"]


def test_a_place_that_is_taken_and_a_run_that_is_none(tmp_path):
    with pytest.raises(UserError, match="is there already"):
        main([str(tmp_path), "--out", str(tmp_path)])
    with pytest.raises(UserError, match="holds no run"):
        main([str(tmp_path), "--out", str(tmp_path / "new")])


def test_the_program_holds_for_every_batch_size():
    from src.api import S4D
    from src.models import Classifier, ResidualBackbone, Tower

    model = Classifier(Tower(torch.nn.Linear(2, 4), ResidualBackbone([S4D(4, 8)], 4)), 3).eval()
    step = export_step(model, torch.zeros(2, 2)).module()
    for batch in (1, 5):
        x = torch.randn(batch, 2)
        got = step(x, *flat_state(model, batch))[0]
        torch.testing.assert_close(got, model.step(x, model.default_state(batch))[0])
