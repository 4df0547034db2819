"""The sinusoid regression (P1 = arXiv 2310.01698, Section 3.4, Fig. 2, Appendix G): read frequency s and amplitude A off A cos(s t).

`python -m src.experiments.sinusoid`. Trained on s from a range and tested beyond it: near the last spike of S4D's transfer function, at
81 for n = 16, S4D's answers leave the ground, S4's and S4-PTD's do not. The paper gives neither n nor the ranges; n = 16 is what puts the
spike where its figure fails. A, B and dt are frozen, and dt is one number, so that a frequency of the input is one of every channel.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
import torch
from torch import Tensor, nn

from ..config import build, parse_assignments
from ..engine import (
    GeneratedBatches,
    Plan,
    Ratio,
    TrainState,
    fit,
    make_optimizer,
    make_schedule,
    parameter_groups,
    run_ports,
)
from ..engine.state import seed_all
from ..errors import UserError, did_you_mean, run_door
from ..models import Classifier, ResidualBackbone, Tower
from ..ops.backend import chosen, start_record
from ..report.index import IndexPage
from ..report.options import Options, add_report_arguments
from ..report.reporters import REPORTERS, SINUSOID
from ..resources import module
from ..sweep import Control, Run, RunFolder
from ..sweep.cli import SuggestingParser, add_common_arguments
from ..sweep.script import run_script
from .classify.contents import content_hash
from .classify.layers import Layer, parse_layer
from .robustness import model_list

EXPERIMENT = SINUSOID
EXAMPLES = (
    "python -m src.experiments.sinusoid --seeds 2",
    "python -m src.experiments.sinusoid --set steps=500 d_model=16",
)


@dataclass(frozen=True, kw_only=True)
class SinusoidConfig:
    """One run.

    Attributes:
        n: real order of the SSMs.
        dt, L: the input is sampled at t = 0, dt, ... (L - 1) dt.
        s_min, s_max: frequencies in training, uniform, in radians per unit of time.
        s_test: the test goes up to here.
        A_min, A_max: amplitudes in training, uniform; the test has amplitude 1.
    """

    model: str
    seed: int
    n: int = 16
    d_model: int = 16
    n_layers: int = 2
    dt: float = 0.01
    L: int = 400
    s_min: float = 1.0
    s_max: float = 60.0
    s_test: float = 100.0
    A_min: float = 0.5
    A_max: float = 2.0
    steps: int = 2000
    batch_size: int = 64
    lr: float = 0.01
    perturbation: str | None = "ptbHiPPO16.mat"
    perturbation_hash: str | None = None

    def __post_init__(self) -> None:
        if self.model not in ("s4d", "s4-ptd", "s4"):
            raise UserError(f"the sinusoid regression has the models s4d, s4-ptd and s4, not '{self.model}'")
        for name in ("n", "d_model", "n_layers", "L", "steps", "batch_size", "dt", "lr"):
            if not getattr(self, name) > 0:
                raise UserError(f"{name} = {getattr(self, name)}: expected a positive number")
        if not (0 < self.s_min < self.s_max < self.s_test and 0 < self.A_min < self.A_max):
            raise UserError("expected 0 < s_min < s_max < s_test and 0 < A_min < A_max")


def waves(s: Tensor, A: Tensor, config: SinusoidConfig) -> tuple[Tensor, Tensor]:
    """Returns inputs A cos(s t), (B, L, 1), and targets (s / s_max, A), (B, 2), for s and A of shape (B,)."""
    t = config.dt * torch.arange(config.L, dtype=torch.float64)
    x = A[:, None] * torch.cos(s.double()[:, None] * t)
    return x[..., None].float(), torch.stack([s / config.s_max, A], 1).float()


def training_batch(config: SinusoidConfig, seed: int, number: int) -> tuple[Tensor, Tensor]:
    """Returns the batch of that number: s and A uniform in their ranges."""
    rng = np.random.default_rng([seed, number])
    s = rng.uniform(config.s_min, config.s_max, config.batch_size)
    A = rng.uniform(config.A_min, config.A_max, config.batch_size)
    return waves(torch.from_numpy(s), torch.from_numpy(A), config)


def squared_error(model: nn.Module, batch: tuple[Tensor, Tensor]) -> dict[str, Ratio]:
    """Mean squared error of both targets."""
    x, y = batch
    return {"loss": Ratio((model(x) - y).square().sum(), y.numel())}


def layer_of(config: SinusoidConfig) -> Layer:
    """Returns the SSM layer: A, B and dt frozen, no term D u."""
    keys = {"_name_": "s4", "d_state": config.n, "B_init": "exact", "lr": 0.0, "skip": False}
    keys |= {"dt_min": config.dt, "dt_max": config.dt}
    if config.model != "s4":
        E = "rank1" if config.model == "s4d" else config.perturbation
        keys |= {"_name_": "s4-ptd", "states": "pairs", "perturbation": E}
    return parse_layer(keys)


def make_model(config: SinusoidConfig) -> nn.Module:
    """Returns encoder, SSM layers without norm or residual (both would hide the amplitude), mean over time, two outputs."""
    seed_all(config.seed)
    generator = torch.Generator().manual_seed(config.seed)
    layer = layer_of(config)
    layers = [layer.make(config.d_model, 0.0, False, generator) for _ in range(config.n_layers)]
    backbone = ResidualBackbone(layers, config.d_model, prenorm=False, norm=None, residual=False)
    return Classifier(Tower(nn.Linear(1, config.d_model), backbone), 2)


# --- a run ---


def work(folders: list[RunFolder], control: Control) -> None:
    """Trains and tests each run."""
    for folder in folders:
        _run(build(SinusoidConfig, folder.config, where=str(folder.path)), folder, control)


def _run(config: SinusoidConfig, folder: RunFolder, control: Control) -> None:
    device = torch.device(control.device)
    start_record()
    model = make_model(config).to(device)
    schedule = make_schedule("cosine_warmup", num_warmup_steps=50, num_training_steps=config.steps)
    state = TrainState(model, make_optimizer("adamw", parameter_groups(model, config.lr)), schedule)
    per_epoch = min(100, config.steps)
    batches = GeneratedBatches(lambda seed, number: training_batch(config, seed, number), per_epoch, config.seed)
    plan = Plan(max_epochs=None, max_steps=config.steps, gradient_clip_val=1.0)
    fitted = fit(state, batches, squared_error, plan, device, ports=run_ports(folder, control))
    s = torch.linspace(config.s_min, config.s_test, 400, dtype=torch.float64)
    predicted = predict(model, s, config, device)
    folder.save_arrays(s=s.numpy(), predicted_s=predicted[:, 0], predicted_A=predicted[:, 1])
    figures = errors(s.numpy(), predicted, config)
    folder.finish({"train_loss": fitted.last["train/loss"], "steps": fitted.steps, **figures, "backends": chosen()})


@torch.no_grad()
def predict(model: nn.Module, s: Tensor, config: SinusoidConfig, device: torch.device) -> np.ndarray:
    """Returns the predicted (s, A), (len(s), 2), for inputs of amplitude 1."""
    model.eval()
    answers = [model(waves(part, torch.ones_like(part), config)[0].to(device)).cpu() for part in s.split(100)]
    predicted = torch.cat(answers).double().numpy()
    return predicted * np.array([config.s_max, 1.0])


def errors(s: np.ndarray, predicted: np.ndarray, config: SinusoidConfig) -> dict[str, float]:
    """Root mean squared errors of s and A in the trained range, beyond it, and the largest error of A beyond it with its place."""
    inside, off = s <= config.s_max, np.abs(predicted[:, 1] - 1.0)
    rms = lambda error: float(np.sqrt(np.mean(error**2)))
    worst = int(np.argmax(np.where(inside, -1.0, off)))
    return {
        "s_interpolation": rms(predicted[inside, 0] - s[inside]),
        "s_extrapolation": rms(predicted[~inside, 0] - s[~inside]),
        "A_interpolation": rms(off[inside]),
        "A_extrapolation": rms(off[~inside]),
        "worst_A": float(predicted[worst, 1]),
        "worst_A_at": float(s[worst]),
    }


# --- the sweep ---


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns its exit code."""
    parser = SuggestingParser(
        prog="python -m src.experiments.sinusoid",
        description="Frequency and amplitude of a sinusoid, inside and outside the range of training (arXiv 2310.01698, Section 3.4)",
        examples=EXAMPLES,
    )
    parser.add_argument(
        "--models", type=model_list, default=("s4d", "s4-ptd", "s4"), metavar="LIST", help="default: all three"
    )
    add_common_arguments(parser, seeds="3", project_name="sinusoid")
    add_report_arguments(parser)
    args, words = parser.parse_words(argv)
    keys = parse_assignments(words)
    for key in keys:
        if key in ("model", "seed", "perturbation_hash") or key not in SinusoidConfig.__dataclass_fields__:
            raise UserError(f"unknown key '{key}'{did_you_mean(key, SinusoidConfig.__dataclass_fields__)}")
    runs = [_make_run(keys, model, seed) for seed in args.seeds for model in args.models]
    steps = lambda run: run.config["steps"]
    return run_script(
        runs,
        module("experiments.sinusoid:work"),
        args,
        steps=steps,
        report=lambda folder: REPORTERS[SINUSOID](folder, Options.of(args, runs)),
        page=IndexPage(args.out),
    )


def _make_run(keys: dict, model: str, seed: int) -> Run:
    config = build(SinusoidConfig, {**keys, "model": model, "seed": seed}, "sinusoid")
    plain = asdict(config)
    if model == "s4-ptd":
        plain["perturbation_hash"] = content_hash(layer_of(config).find())
    else:
        plain["perturbation"] = None
    return Run(EXPERIMENT, plain, f"{model} n={config.n} seed={seed}")


if __name__ == "__main__":
    run_door(main)
