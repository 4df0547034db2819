"""A layer, a kernel and a task of the user's, by dotted path: the recipes of the pages, from the command line to the stream."""

import argparse
import re
import sys
from pathlib import Path

import pytest
import torch

from src.config.own_code import OwnCode
from src.errors import UserError
from src.experiments import robustness
from src.experiments.classify.points import asked_words, make_runs
from src.experiments.classify.trained import load_trained
from src.experiments.train import main
from src.export import main as export
from src.sweep import Control, RunFolder, collect
from tests.experiments.scripts import assert_one_line

ROOT = Path(__file__).parents[2]
SMALL = [
    "experiment=smoke/digits",
    "model.n_layers=1",
    "model.d_model=8",
    "trainer.max_steps=3",
    "wandb=null",
    "device=cpu",
]
LAYER, KERNEL, TASK = (
    "model.layer._target_=my_module.MyLayer",
    "model.layer.kernel._target_=my_kernel.MyKernel",
    "task._target_=my_task.MyTask",
)


def recipes(page):
    """{file: text} of the modules that a page shows, as they are in a clone."""
    found = re.findall(r"```python\n# (my_\w+\.py)\n(.*?)```", (ROOT / page).read_text(), flags=re.DOTALL)
    return {name: text.replace("import ssm_experiments as ssm", "import src as ssm") for name, text in found}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The current directory, with the modules of docs/library.md in it and nothing of them loaded."""
    for name, text in recipes("docs/library.md").items():
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path])
    yield tmp_path
    for name in [name for name in sys.modules if name.startswith("my_")]:
        del sys.modules[name]


def the_run(experiment="train-smoke-digits"):
    (run,) = collect(Path("runs"), experiment)
    return run


def test_the_pages_show_a_layer_a_kernel_and_a_task():
    assert set(recipes("docs/library.md")) == {"my_module.py", "my_kernel.py", "my_task.py"}
    assert set(recipes("README.md")) == {"my_module.py"}


@pytest.mark.parametrize("page", ["README.md", "docs/library.md"])
def test_a_layer_trains_loads_and_streams(page, folder, capsys):
    (folder / "my_module.py").write_text(recipes(page)["my_module.py"])
    assert main([*SMALL, LAYER, "model.layer.slow=0.9"]) == 0
    assert "my_module.MyLayer" in capsys.readouterr().out
    run = the_run()
    assert run.run.config["model"]["layer"] == {"_target_": "my_module.MyLayer", "slow": 0.9}
    with pytest.raises(UserError, match=r"names code, my_module.MyLayer.*trust=True"):
        load_trained(run.path)
    model = load_trained(run.path, trust=True)
    x, state, system = torch.randn(2, 9, 1), model.default_state(2), model.discrete()
    for t in range(9):
        logits, state = model.step(x[:, t], state, system)
    torch.testing.assert_close(logits, model(x), rtol=1e-4, atol=1e-5)


def test_a_run_is_keyed_by_the_module_and_a_change_is_told(folder):
    assert main([*SMALL, LAYER]) == 0
    assert main([*SMALL, LAYER]) == 0
    first = the_run()
    text = (folder / "my_module.py").read_text()
    (folder / "my_module.py").write_text(text + "\n# another thought\n")
    with pytest.warns(UserWarning, match="my_module has changed"):
        load_trained(first.path, trust=True)
    assert main([*SMALL, LAYER]) == 0
    assert len(collect(Path("runs"), "train-smoke-digits")) == 2


def test_nothing_is_imported_before_a_run_starts(folder, capsys):
    (folder / "my_module.py").write_text("raise SystemExit('imported')\n")
    assert main([*SMALL, LAYER, "--cfg", "job"]) == 0
    assert "_target_: my_module.MyLayer" in capsys.readouterr().out
    assert OwnCode.of({"_target_": "my_module.MyLayer"}, "model.layer").source() == folder / "my_module.py"
    assert "my_module" not in sys.modules


def test_an_untrusted_run_runs_nothing(folder, capsys):
    assert main([*SMALL, LAYER]) == 0
    del sys.modules["my_module"]
    (folder / "my_module.py").write_text("raise SystemExit('imported')\n")
    assert_one_line(export, [str(the_run().path), "--out", "away"], "--trust", capsys)
    assert "my_module" not in sys.modules
    assert not Path("away").exists()


def test_an_exported_layer_is_the_model(folder, capsys):
    assert main([*SMALL, LAYER]) == 0
    assert export([str(the_run().path), "--out", "away", "--trust"]) == 0
    step, model = torch.export.load("away/step.pt2").module(), load_trained(the_run().path, trust=True)
    x, state = torch.randn(3, 1), model.default_state(3)
    flat = torch.utils._pytree.tree_leaves(state)
    torch.testing.assert_close(step(x, *flat)[0], model.step(x, state)[0])


def test_worker_processes_import_it_too(folder):
    assert main(["-m", *SMALL, LAYER, "model.layer.slow=0.5,0.9"]) == 0
    runs = collect(Path("runs"), "train-smoke-digits")
    assert sorted(run.run.config["model"]["layer"]["slow"] for run in runs) == [0.5, 0.9]
    assert all(run.result() for run in runs)


def test_a_yaml_file_of_ones_own(folder, capsys):
    (block,) = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs" / "library.md").read_text(), flags=re.DOTALL)
    Path("mine.yaml").write_text(block.replace("/pipeline: file", "/pipeline: digits"))
    words = ["experiment=mine.yaml", *SMALL[1:]]
    assert main([*words, "model.layer.slow=0.8", "--cfg", "job"]) == 0
    assert "slow: 0.8" in capsys.readouterr().out
    assert main([*words, LAYER, "--cfg", "job"]) == 0  # the file's own keys stay
    assert "slow: 0.9" in capsys.readouterr().out
    assert main(words) == 0
    assert_one_line(main, ["experiment=mine.yaml", "+model.layer._name_=s4"], "start from `/model: own`", capsys)


def test_a_kernel_stands_in_s4s_layer(folder):
    assert main([*SMALL, KERNEL, "model.layer.kernel.spread=50"]) == 0
    model = load_trained(the_run().path, trust=True)
    kernel = model.tower.backbone.blocks[0].layer.kernel
    assert (type(kernel).__name__, kernel.spread) == ("MyKernel", 50)
    assert kernel.channels == 2  # bidirectional, as the experiment says


def test_robustness_takes_a_kernel_and_refuses_a_layer(folder, capsys):
    small = ["--dataset", "digits", "--models", "s4", "--epochs", "1", "--noise", "none"]
    assert_one_line(robustness.main, [*small, LAYER], "a kernel of yours can stand in them", capsys)
    words = ["d_model=8", "n_layers=1", "n=8", "train_size=64", "epochs=1", "noise=[]", "batch_size=16", KERNEL]
    words = asked_words("robustness", argparse.Namespace(), ["dataset=digits", *words])
    (run,) = make_runs(
        "robustness", words, robustness.points({"models": ["s4"], "perturbation": None}, [0]), ("models",)
    )
    made = RunFolder(Path("runs"), run)
    with made.locked():
        made.start({})
        robustness.work([made], Control())
    assert 0 <= made.result()["noisy/accuracy"] <= 1


def test_a_task_has_its_loss_and_its_score(folder, capsys):
    assert main([*SMALL, TASK, "task.smoothing=0.2", "trainer.max_epochs=1"]) == 0
    printed, result = capsys.readouterr().out, the_run().result()
    assert "Scores of the task" in printed
    assert 0.1 < result["test@last/score"] <= 1  # two of ten classes
    assert result["best/val"] == pytest.approx(
        max(row["val/score"] for row in the_run().metrics() if "val/score" in row)
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([LAYER, "model.layer.slo=0.9"], "did you mean 'slow'"),
        ([LAYER, "model.layer.d_model=9"], "is given its d_model by the suite"),
        (["model.layer._target_=MyLayer"], "expected module.Class"),
        (
            ["model.layer._target_=my_modul.MyLayer"],
            "no module 'my_modul' here or on Python's path; did you mean 'my_module'",
        ),
        (["model.layer._target_=my_module.MyLayr"], "my_module has no 'MyLayr'; did you mean 'MyLayer'"),
        (["model.layer._target_=my_module.deep.MyLayer"], "no module 'my_module.deep'"),
        (
            ["model.layer._target_=broken.MyLayer"],
            "broken cannot be imported: ZeroDivisionError: division by zero (broken.py line 1)",
        ),
        (["model.layer._target_=lacking.MyLayer"], "MyLayer lacks the method step(x, state, system=None) of a layer"),
        (["model.layer._target_=lacking.NoModule"], "NoModule is no torch.nn.Module"),
        (["model.layer._target_=lacking.Needs"], "lacking.Needs needs a value: model.layer.width="),
        (["model.layer._target_=lacking.Fails"], "cannot be built: ValueError: no (lacking.py line"),
        (["model.layer.kernel._target_=my_module.MyLayer"], "takes no keyword 'H'"),
        (["model.layer.kernel._target_=lacking.Half"], "abstract class Half with abstract method system"),
        (["model.layer.kernel=3"], "expected model.layer.kernel._target_="),
        ([KERNEL, "model/layer=s4-ptd"], "takes the place of S4's or S4D's"),
        (["task._target_=lacking.Loss"], "lacks the method score(output, target) of a task"),
    ],
)
def test_what_is_wrong_is_one_line(words, message, folder, capsys):
    Path("broken.py").write_text("1 / 0\n")
    Path("lacking.py").write_text(
        "from torch import nn\nimport src as ssm\n"
        "class MyLayer(nn.Module):\n    def __init__(self, d_model): super().__init__()\n"
        "    def forward(self, x, state=None, lengths=None, return_state=False): return x\n"
        "class NoModule:\n    def __init__(self, d_model): pass\n"
        "class Needs(MyLayer):\n    def __init__(self, d_model, width): super().__init__(d_model)\n"
        "class Fails(MyLayer):\n    def __init__(self, d_model): raise ValueError('no')\n"
        "class Half(ssm.DiagonalSystem):\n    def __init__(self, H, d_state, **options): super().__init__(H, **options)\n"
        "class Loss:\n    def loss(self, output, target): return target\n"
    )
    assert_one_line(main, [*SMALL, *words], message, capsys)
    assert not Path("runs").exists()
