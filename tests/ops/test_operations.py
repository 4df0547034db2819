"""Every operation has the same shape: a folder with the same file names, a reference, a torch form, a fused form, a probe."""

import importlib
from pathlib import Path

import pytest

from src.ops import backend
from src.ops.backend import NAMES, Operation
from src.theory.fit import FIT

ROOT = Path(__file__).parents[2]
OPS = ROOT / "src" / "ops"
FOLDERS = sorted(path.parent for path in OPS.glob("*/operation.py"))
FILES = {"__init__.py", "operation.py", "reference.py", "torch.py", "triton.py"}
WITHOUT = {
    (
        "discretise",
        "torch.py",
    ): "each step of its reference is one elementwise operation of torch, so that is its torch form"
}
# as README.md names them; the folder's operations have the form `triton` if and only if it does
IN_README = {
    "selective_scan": "selective scan",
    "scan": "scan",
    "causal_conv": "short convolution",
    "diagonal": "diagonal and DPLR",
    "low_rank": "diagonal and DPLR",
    "discretise": "discretisation",
    "fftconv": "FFT convolution",
}


def operations(folder: Path) -> dict[str, Operation]:
    """The operations of a folder, by the name under which its package hands them on."""
    package = importlib.import_module(f"src.ops.{folder.name}")
    return {name: value for name, value in vars(package).items() if isinstance(value, Operation)}


EVERY = [pytest.param(op, folder, id=name) for folder in FOLDERS for name, op in operations(folder).items()]


def test_every_folder_of_operations_is_one():
    assert {path.name for path in OPS.iterdir() if path.is_dir()} - {"triton", "__pycache__"} == {
        f.name for f in FOLDERS
    }
    assert {folder.name for folder in FOLDERS} == set(IN_README)
    assert all(operations(folder) for folder in FOLDERS)


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_files_have_the_same_names_everywhere(folder):
    there = {path.name for path in folder.glob("*.py")}
    missing = {name for name in FILES - there if (folder.name, name) not in WITHOUT}
    assert not missing, f"ops/{folder.name} has no {missing}"
    compiled = any("compiled" in operation.forms for operation in operations(folder).values())
    assert compiled == ("compiled.py" in there)


@pytest.mark.parametrize(("op", "folder"), [*EVERY, pytest.param(FIT, None, id="FIT")])
def test_an_operation_has_its_forms_and_a_probe(op, folder):
    assert set(op.forms) <= set(NAMES)
    assert {"reference", "torch", "triton"} <= set(op.forms)
    assert callable(op.probe)
    assert all(callable(form) for form in op.forms.values())


@pytest.mark.parametrize(("op", "folder"), EVERY)
def test_the_readme_claims_the_fused_form_that_is_there(op, folder):
    line = " ".join((ROOT / "README.md").read_text().split())
    claim = line[line.index("Each operation (") : line.index("has a fused form")]
    assert IN_README[folder.name] in claim
    assert "triton" in op.forms


@pytest.mark.parametrize(("op", "folder"), EVERY)
def test_the_probe_sees_a_wrong_form(op, folder):
    """The probe compares numbers: a form that is off by one part in a thousand is refused."""
    import torch

    def wrong(*arguments, **options):
        result = op.forms["reference"](*arguments, **options)
        return result * 1.001 if isinstance(result, torch.Tensor) else tuple(x * 1.001 for x in result)

    broken = Operation(op.name, op.forms | {"torch": wrong}, op.probe)
    cpu = torch.device("cpu")
    assert broken.error("torch", cpu) > backend.TOLERANCE
    assert op.error("torch", cpu) < backend.TOLERANCE
