"""The toy sweep as a script of its own, for tests that kill it: `python -m tests.sweep.toy_sweep OUT [options]`."""

import argparse
from pathlib import Path

from src.errors import run_door
from src.sweep import Run, SweepOutcome, run_sweep

N_STEPS = 20
N_RUNS = 6


def toy_runs(n_runs: int = N_RUNS) -> list[Run]:
    return [Run("toy", {"seed": seed, "n_steps": N_STEPS}, label=f"seed {seed}") for seed in range(n_runs)]


def toy_sweep(out: Path, runs: list[Run] | None = None, **options: object) -> SweepOutcome:
    defaults = {"work": "tests.sweep.toy_work:work", "workers": 1, "wandb": "disabled", "threads_per_worker": 1}
    steps = lambda run: run.config.get("n_steps", 1)
    return run_sweep(toy_runs() if runs is None else runs, out=out, steps=steps, **(defaults | options))


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("out", type=Path)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--launcher", default="process")
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    options = {"workers": arguments.workers, "launcher": arguments.launcher, "devices": [arguments.device]}
    outcome = toy_sweep(arguments.out, **options)
    print(outcome.report(arguments.out))
    return outcome.exit_code


if __name__ == "__main__":
    run_door(main)
