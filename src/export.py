"""`python -m src.export RUN --out DIR`: takes a trained model away, to be used where this package is not installed.

DIR gets the weights (safetensors), the run's config, and the step form as an exported torch program: one time step of a causal model,

    logits, *state = step(x, *state)

with x (B, d_input) or (B,) tokens, logits (B, classes) of the prefix so far, and the state as plain tensors, all zero at the start. The
matrices of one step are constants of the program. PyTorch alone runs it (`torch.export.load`), for any number of sequences B.
"""

import json
import shutil
import sys
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from .config.command_line import SuggestingParser
from .errors import UserError, run_door
from .experiments.classify.trained import FILES, load_trained
from .files import check_file
from .resources import command

WEIGHTS, CONFIG, STEP, STATE, README = "weights.safetensors", "config.yaml", "step.pt2", "state.json", "README.md"
_USE = """# A trained sequence model

Made from the run `{run}` ({weights} weights). `{WEIGHTS}` holds the weights, `{CONFIG}` the run's config, `{STEP}` one time step of
the model with its matrices as constants; `{STATE}` says how the state starts. With PyTorch {torch} or newer:

```python
import json
import torch

step = torch.export.load("{STEP}").module()
about = json.load(open("{STATE}"))
B = 1  # sequences side by side
state = [torch.zeros(B, *s["shape"], dtype=getattr(torch, s["dtype"])) for s in about["state"]]
for x in stream:  # {x}
    logits, *state = step(x, *state)  # (B, {classes}), of the sequence so far
```
"""


class Step(nn.Module):
    """One time step of a causal model whose state is a flat row of tensors.

    Args:
        model: has `step`, `discrete` and `default_state`; in evaluation mode.
    """

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model = model
        with torch.no_grad():
            system, self._system_form = pytree.tree_flatten(model.discrete())
        for i, tensor in enumerate(system):
            self.register_buffer(f"system{i}", tensor)
        self._n_system = len(system)
        self._state_form = pytree.tree_flatten(model.default_state(1))[1]

    def forward(self, x: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        """x: (B, d_input) or (B,) tokens. Returns the logits (B, classes) and the next state."""
        system = [getattr(self, f"system{i}") for i in range(self._n_system)]
        before = pytree.tree_unflatten(list(state), self._state_form)
        y, after = self.model.step(x, before, pytree.tree_unflatten(system, self._system_form))
        return (y, *pytree.tree_flatten(after)[0])


def flat_state(model: nn.Module, batch: int) -> list[Tensor]:
    """Returns the state before the first step as a flat row of tensors."""
    return pytree.tree_flatten(model.default_state(batch))[0]


def export_step(model: nn.Module, x: Tensor) -> torch.export.ExportedProgram:
    """Returns the step form of a model as a program for any batch size.

    Args:
        model: causal, in evaluation mode.
        x: an example of one step, (B, d_input) or (B,) tokens, B of at least 2.

    Raises:
        ValueError: the model is bidirectional and has no step.
    """
    state = flat_state(model, len(x))
    batch = torch.export.Dim("batch", min=1)
    sizes = {"x": {0: batch}, "state": tuple({0: batch} for _ in state)}
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's own, about its own modules
        return torch.export.export(Step(model), (x, *state), dynamic_shapes=sizes)


def export(run: str | Path, out: str | Path, weights: str = "best", trust: bool = False) -> list[Path]:
    """Writes what the head of this file lists, whole or not at all; returns the files. For `weights` and `trust` see `load_trained`.

    Raises:
        UserError: no such run or weights, a model without a step, or a folder that is there already.
    """
    run, out = Path(run), Path(out)
    if out.exists():
        raise UserError(f"{out} is there already; give another --out")
    check_file(out)
    model = load_trained(run, weights, trust)
    save_file = _safetensors()
    x = _example(model)
    try:
        program = export_step(model, x)
    except ValueError as error:
        raise UserError(
            f"{run}: {error}; only causal models have a step to export (model.layer.bidirectional=false)"
        ) from None
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=".export-") as scratch:
        folder = Path(scratch) / out.name
        folder.mkdir()
        save_file({name: tensor.contiguous() for name, tensor in model.state_dict().items()}, folder / WEIGHTS)
        shutil.copyfile(run / "config.yaml", folder / CONFIG)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.export.save(program, folder / STEP)
        (folder / STATE).write_text(json.dumps(_about(model, x), indent=2) + "\n")
        (folder / README).write_text(_readme(run, weights, model, x))
        folder.rename(out)
    return sorted(out.iterdir())


def _safetensors() -> Any:
    try:
        from safetensors.torch import save_file
    except ModuleNotFoundError:
        raise UserError("safetensors is not installed; pip install safetensors") from None
    return save_file


def _example(model: nn.Module) -> Tensor:
    """One step of two sequences."""
    encoder = getattr(getattr(model, "tower", None), "encoder", None)
    if not hasattr(model, "step") or encoder is None:
        raise UserError(f"a {type(model).__name__} reads whole sequences and has no step to export")
    if isinstance(encoder, nn.Embedding):
        return torch.ones(2, dtype=torch.long)
    return torch.zeros(2, encoder.in_features)


def _about(model: nn.Module, x: Tensor) -> dict[str, Any]:
    kind = lambda tensor: {"shape": list(tensor.shape[1:]), "dtype": str(tensor.dtype).removeprefix("torch.")}
    return {"input": kind(x), "state": [kind(tensor) for tensor in flat_state(model, 1)]}


def _readme(run: Path, weights: str, model: nn.Module, x: Tensor) -> str:
    shape = "(B,) tokens" if x.ndim == 1 else f"(B, {x.shape[1]})"
    names = {"WEIGHTS": WEIGHTS, "CONFIG": CONFIG, "STEP": STEP, "STATE": STATE}
    version = ".".join(torch.__version__.split(".")[:2])
    return _USE.format(run=run.name, weights=weights, x=shape, classes=model.head.out_features, torch=version, **names)


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns its exit code."""
    parser = SuggestingParser(prog=command("export"), description="Take a trained model away.")
    parser.add_argument("run", type=Path, help="the folder of a run of train.py: runs/train-<experiment>/<key>")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="a new folder for what is written")
    parser.add_argument(
        "--weights", choices=list(FILES), default="best", help="best in validation, or the last (default: best)"
    )
    parser.add_argument(
        "--trust",
        action="store_true",
        help="run the layer of its own that the run names: code, from wherever it is found",
    )
    args = parser.parse_args(sys.argv[1:] if argv is None else argv)
    for path in export(args.run, args.out, args.weights, args.trust):
        print(path)
    return 0


if __name__ == "__main__":
    run_door(main)
