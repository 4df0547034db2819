"""The package as a user gets it: a wheel, in an environment that holds its dependencies and nothing of this repository."""

import os
import re
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The built wheel."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    files = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    for name in files:  # a copy, because building writes beside its source
        if name.startswith(("src/", "configs/", "data/")) or "/" not in name:
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((ROOT / name).read_bytes())
    pip = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "-q",
        "--no-deps",
        "--no-build-isolation",
        "--no-index",
        "-w",
        str(out),
        ".",
    ]
    subprocess.run(pip, cwd=source, check=True, capture_output=True, timeout=280)
    return next(out.glob("*.whl"))


@pytest.fixture(scope="module")
def python(wheel, tmp_path_factory):
    """The interpreter of an environment with the package and its dependencies, and a folder away from the repository."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=False)
    program = folder / "bin" / "python"
    site = folder / "lib" / f"python3.{sys.version_info.minor}" / "site-packages"
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    install = [sys.executable, "-m", "pip", "--python", program, "install", "-q", "--no-deps", "--no-index", wheel]
    subprocess.run(install, check=True, capture_output=True, timeout=280)
    return program


def run(program, *words, cwd, code=0):
    """stdout of a command of the environment that does not see the repository."""
    shown = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"} | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run([program, *words], cwd=cwd, env=shown, capture_output=True, text=True, timeout=280)
    assert done.returncode == code, done.stderr
    return done.stdout if code == 0 else done.stderr


def test_a_wheel_holds_one_package_with_its_configs_and_data(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names} == {
        "ssm_experiments",
        f"ssm_experiments-{PROJECT['version']}.dist-info",
    }
    for folder, pattern in (("configs", "*.yaml"), ("data", "*.mat"), ("src", "*")):
        inside = "ssm_experiments" if folder == "src" else f"ssm_experiments/{folder}"
        here = subprocess.run(
            ["git", "ls-files", f"{folder}/**{pattern}"], cwd=ROOT, capture_output=True, text=True
        ).stdout
        missing = {f"{inside}/{line.partition('/')[2]}" for line in here.splitlines()} - set(names)
        assert here, folder
        assert not missing, f"the wheel lacks {missing}"


def test_importing_it_is_light(python, tmp_path):
    code = "import sys, ssm_experiments as ssm; print(ssm.__version__, 'S4' in dir(ssm), any(m in sys.modules for m in ('torch', 'numpy')))"
    assert run(python, "-c", code, cwd=tmp_path).split() == [PROJECT["version"], "True", "False"]


@pytest.mark.parametrize("page", ["README.md", "docs/library.md"])
def test_the_snippets_of_the_pages(page, python, tmp_path):
    snippets = re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(), flags=re.DOTALL)
    snippets = [text for text in snippets if "ssm_experiments" in text and not re.search("runs/|checkpoints/", text)]
    assert snippets
    for snippet in snippets:
        run(python, "-c", snippet, cwd=tmp_path)


def test_the_console_command_does_what_the_script_does(python, tmp_path):
    program = python.parent / "ssm-experiments"
    words = [
        "theory",
        "--experiment",
        "complex",
        "--seeds",
        "1",
        "--num_epochs",
        "50",
        "--wandb",
        "disabled",
        "--num_cpus",
        "1",
    ]
    run(program, *words, "--set", "N=8", "L=8", "lr=1e-4", cwd=tmp_path)
    assert len(list(tmp_path.glob("runs/theory-complex/*/result.json"))) == 3  # one a target
    assert "did you mean 'theory'" in run(program, "thoery", cwd=tmp_path, code=2)
    assert "experiment=" in run(program, "train", "experiment=smoke/digitz", cwd=tmp_path, code=2)


def test_a_layer_of_ones_own_trains_and_is_exported(python, tmp_path):
    """The module of the page in the current directory, an installed command, and the step where nothing of the package is loaded."""
    program, page = python.parent / "ssm-experiments", (ROOT / "docs" / "library.md").read_text()
    (tmp_path / "my_module.py").write_text(re.search(r"```python\n(# my_module.py\n.*?)```", page, flags=re.DOTALL)[1])
    small = ["model.n_layers=1", "model.d_model=4", "trainer.max_steps=2", "wandb=null", "device=cpu", "--threads", "1"]
    own = ["model.layer._target_=my_module.MyLayer", "model.layer.slow=0.9"]
    run(program, "train", "experiment=smoke/digits", *small, *own, cwd=tmp_path)
    (folder,) = tmp_path.glob("runs/train-smoke-digits/*/")
    assert "--trust" in run(program, "export", folder, "--out", "away", cwd=tmp_path, code=2)
    run(program, "export", folder, "--out", "away", "--trust", cwd=tmp_path)
    code = "import sys, torch; step = torch.export.load('away/step.pt2').module(); "
    code += "y = step(torch.zeros(3, 1), torch.zeros(3, 4), torch.zeros(3, 4), torch.zeros(3, 1))[0]; "
    code += "print(tuple(y.shape), 'ssm_experiments' in sys.modules)"
    assert run(python, "-c", code, cwd=tmp_path).strip() == "(3, 10) False"


def test_the_pins_lie_in_the_ranges():
    pins = dict(re.findall(r"^([\w-]+)==([\w.]+)", (ROOT / "requirements.txt").read_text(), flags=re.MULTILINE))
    extras = [line for name, lines in PROJECT["optional-dependencies"].items() if name != "all" for line in lines]
    asked = {Requirement(line).name: Requirement(line) for line in (*PROJECT["dependencies"], *extras)}
    assert set(pins) <= set(asked), "pinned, but no dependency of the package"
    for name, pin in pins.items():
        assert asked[name].specifier.contains(pin), f"{name}=={pin} is outside {asked[name].specifier}"
        assert version(name).split("+")[0] == pin, "the environment that the tests run in is that of the pins"
