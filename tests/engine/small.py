"""A small run with everything that has a state: dropout, batch norm, adamw, warm-up and cosine, averaging, accumulation.

As a script: `python -m tests.engine.small FOLDER [delay]` trains it with its state in FOLDER and prints the hash of all it ends with.
"""

import hashlib
import sys
import time
from pathlib import Path

import torch
from torch import nn

from src.engine import (
    Ema,
    Evaluation,
    Plan,
    TensorBatches,
    TrainState,
    classification,
    make_optimizer,
    make_schedule,
    parameter_groups,
)
from src.engine.state import seed_all
from src.errors import EXIT_INTERRUPTED
from src.stop import Interrupted, StopSignals
from src.tracking import JsonlLog
from tests.engine.ports import FileStore, fit

CPU = torch.device("cpu")


def data(n: int = 90, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Two classes in 6 dimensions that a small network tells apart."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n, 6, generator=generator)
    return x, (x[:, 0] * x[:, 1] > 0).long()


def network(seed: int = 0, dropout: float = 0.2, norm: bool = True) -> nn.Sequential:
    seed_all(seed)
    middle = [nn.BatchNorm1d(16)] if norm else []
    return nn.Sequential(nn.Linear(6, 16), *middle, nn.GELU(), nn.Dropout(dropout), nn.Linear(16, 2))


def start(model: nn.Module, lr: float = 0.01, decay: float = 0.0, schedule: str = "constant", **options) -> TrainState:
    optimizer = make_optimizer("adamw", parameter_groups(model, lr, 0.01))
    return TrainState(model, optimizer, make_schedule(schedule, **options), Ema(model, decay) if decay else None)


def full_run(**ports) -> tuple[TrainState, object]:
    """11 batches an epoch in groups of 2, 4 epochs: 24 steps, the last of each epoch with one batch."""
    state = start(network(), decay=0.9, schedule="cosine_warmup", num_warmup_steps=5, num_training_steps=24)
    validation = Evaluation(TensorBatches(data(40, seed=1), 16), classification, CPU)
    plan = Plan(max_epochs=4, accumulate_grad_batches=2, gradient_clip_val=1.0, log_every=5, save_steps=3)
    result = fit(
        state,
        TensorBatches(data(), 8, seed=3),
        classification,
        plan,
        CPU,
        evaluators={"val": validation},
        final={"test": validation},
        **ports,
    )
    return state, result


def fingerprint(state: TrainState, result: object) -> str:
    """A hash of every bit of the end: weights, optimizer, averages, random states, result."""
    digest = hashlib.sha256(repr(result).encode())

    def add(value: object) -> None:
        if isinstance(value, torch.Tensor):
            digest.update(value.numpy().tobytes())
        elif isinstance(value, dict):
            for key, item in value.items():
                digest.update(str(key).encode())
                add(item)
        elif isinstance(value, (list, tuple)):
            for item in value:
                add(item)
        else:
            digest.update(repr(value).encode())

    add(state.state_dict())
    return digest.hexdigest()


def without_times(rows: list[dict]) -> list[dict]:
    """Log rows without what no two runs share."""
    return [{name: value for name, value in row.items() if name != "samples_per_second"} for row in rows]


def main(folder: Path, delay: float) -> int:
    torch.set_num_threads(1)
    log = JsonlLog(folder / "log.jsonl")

    def resumed(step: int) -> None:
        log.rewind(step)

    def advance(n_steps: int) -> None:
        print("step", flush=True)
        time.sleep(delay)

    if not (folder / "last.pt").exists():
        log.rewind(-1)
    with StopSignals() as signals:
        try:
            state, result = full_run(
                log=log.log, store=FileStore(folder, "small"), stop=signals.asked, advance=advance, resumed=resumed
            )
        except Interrupted:
            return EXIT_INTERRUPTED
    print(fingerprint(state, result))
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), float(sys.argv[2]) if len(sys.argv) > 2 else 0.0))
